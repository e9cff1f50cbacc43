# Completion of the phkmalloc command in fish. The command's own help says which subcommands and
# options there are, and what they are for.

function __phkmalloc_complete
    set -l words (commandline -opc)
    set -l self $words[1]
    set -l command $words[2]
    if not set -q words[2]
        $self --help 2>/dev/null | string replace -rf '^  ([a-z]+) +(.*)' '$1\t$2'
        return
    end
    set -l help ($self $command --help 2>/dev/null)
    set -l usage $help[1]
    set -q help[2]; and set usage "$usage $help[2]"
    set -l with_value (string match -rag -- '(--?[a-z][a-z-]*) [A-Z]+' $help)

    # The words of a program that is run are its own business.
    if string match -q '*PROGRAM*' -- $usage
        set -l i 3
        while set -q words[$i]
            if test "$words[$i]" = --
                set i (math $i + 1)
            else if string match -q -- '-*' $words[$i]
                contains -- $words[$i] $with_value; and set i (math $i + 1)
                set i (math $i + 1)
                continue
            else if string match -q '*PID*' -- $usage
                break
            end
            set -l rest $words[$i..-1] (commandline -ct)
            complete -C "$rest"
            return
        end
    end
    if contains -- $words[-1] $with_value
        string match -rq -- "$words[-1] [A-Z.|]*FILE" $help; and __fish_complete_path (commandline -ct)
        return
    end
    if string match -q -- '-*' (commandline -ct)
        printf '%s\n' --help\t'how it is used'
        set -l told (string replace -rf -- '^  (--?[A-Za-z][a-z-]*)(?:[ =][A-Z]+)*  +(.*)' '$1\t$2' $help)
        printf '%s\n' $told
        for name in (string match -rag -- '(?:^  |[\[ ])(--?[A-Za-z][a-z-]*)' $usage)
            string match -q -- "$name"\t'*' $told; or echo $name
        end
    else if test "$command" = core; and test (count $words) -eq 3
        printf '%s\n' stat map
    else if string match -q '*PID*' -- $usage
        $self stat --all 2>/dev/null | string replace -rf '^ *(\d+)  (\S+) +(\S+ \S+).*' '$1\t$2, $3 in use'
        string match -q '*| FILE*' -- $usage; and __fish_complete_path (commandline -ct)
    else if string match -q '*PROGRAM*' -- $usage
        complete -C (commandline -ct)
    else
        __fish_complete_path (commandline -ct)
    end
end

complete -c phkmalloc -f -a '(__phkmalloc_complete)'
