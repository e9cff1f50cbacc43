"""Inputs of the real programs, generated on this machine from fixed seeds.

Each is made once, under a temporary name that is renamed when it is whole, so
an interrupted run never leaves half an input behind.
"""

import json
import os
import random
import shutil
import subprocess


def words(rng, count):
    letters = "etaoinshrdlucmfwypvbgkqjxz"
    lexicon = ["".join(rng.choices(letters, range(26, 0, -1), k=rng.randint(2, 12)))
               for _ in range(30000)]
    return [lexicon[int(len(lexicon) * rng.random() ** 3)] for _ in range(count)]


def words_txt(path):
    text = words(random.Random(1), 700000)
    with open(path, "w") as f:
        for i in range(0, len(text), 12):
            f.write(" ".join(text[i:i + 12]) + "\n")


def items(count):
    rng = random.Random(2)
    lexicon = words(rng, 5000)
    return [{"id": i, "kind": rng.randrange(50), "name": rng.choice(lexicon),
             "price": round(rng.random() * 1000, 2),
             "tags": rng.choices(lexicon, k=rng.randint(1, 6))} for i in range(count)]


def items_json(path):
    with open(path, "w") as f:
        json.dump(items(60000), f)


def items_xml(path):
    with open(path, "w") as f:
        f.write("<items>\n")
        for i in items(150000):
            tags = "".join("<tag>%s</tag>" % t for t in i["tags"])
            f.write('<item id="%d" kind="%d"><name>%s</name><price>%.2f</price>%s</item>\n'
                    % (i["id"], i["kind"], i["name"], i["price"], tags))
        f.write("</items>\n")


def big_c(path):
    rng = random.Random(3)
    with open(path, "w") as f:
        f.write("struct record { int key, kind; long total; struct record *next; };\n")
        for i in range(300):
            a, b, c = (rng.randint(2, 99) for _ in range(3))
            f.write("""
static int step%d(struct record *r, int n)
{
	int sum = %d;
	for (int i = 0; i < n %% %d; i++, r = r->next ? r->next : r) {
		switch ((r->key + i) %% 5) {
		case 0: sum += r->kind * %d; break;
		case 1: sum ^= (int)(r->total >> %d); break;
		case 2: r->total -= sum; break;
		default: if (r->kind > %d) { r->kind--; continue; } sum = -sum;
		}
	}
	return sum;
}
int call%d(struct record *r, int n) { return step%d(r, n) + step%d(r->next, n / %d); }
""" % (i, a, b, c, a % 31, c, i, i, rng.randrange(i + 1), b))


def mixed_bin(path):
    rng = random.Random(4)
    text = " ".join(words(rng, 200000)).encode()
    with open(path, "wb") as f:
        for _ in range(24):
            at = rng.randrange(len(text) // 2)
            f.write(text[at:at + 500000] + rng.randbytes(100000))


def puzzle_smt2(path):
    """A system of equations and inequalities over bit vectors: search, clauses, terms."""
    rng = random.Random(5)
    with open(path, "w") as f:
        f.write("(set-logic QF_BV)\n")
        for i in range(150):
            f.write("(declare-const x%d (_ BitVec 16))\n" % i)
        for i in range(300):
            a, b, c = rng.sample(range(150), 3)
            if i % 4 == 0:
                form = "(= (bvxor (bvmul x%d x%d) (bvadd x%d #x%04x)) (bvor x%d #x%04x))"
                values = (a, b, c, rng.randrange(3, 9999), a, rng.randrange(1 << 12))
            else:
                form = "(bvult (bvadd (bvmul x%d #x%04x) x%d) (bvor x%d #x%04x))"
                values = (a, rng.randrange(3, 999), b, c, rng.randrange(1 << 15, 1 << 16))
            f.write("(assert %s)\n" % (form % values))
        f.write("(check-sat)\n")


def pages_ps(path):
    rng = random.Random(6)
    lexicon = words(rng, 3000)
    with open(path, "w") as f:
        f.write("%!PS\n")
        for page in range(240):
            f.write("/Times-Roman findfont %d scalefont setfont\n" % rng.randint(7, 14))
            for line in range(60):
                f.write("40 %d moveto (%s) show\n"
                        % (780 - 12 * line, " ".join(rng.choices(lexicon, k=12))))
            for _ in range(200):
                f.write("%.2f %.2f %.2f setrgbcolor newpath %d %d moveto "
                        "%d %d %d %d %d %d curveto closepath fill\n"
                        % (*(rng.random() for _ in range(3)),
                           *(rng.randint(0, 600) for _ in range(8))))
            f.write("0 setgray showpage\n")


def repo_git(path):
    rng = random.Random(7)
    lexicon = words(rng, 5000)
    files = [[" ".join(rng.choices(lexicon, k=9)) for _ in range(rng.randint(20, 300))]
             for _ in range(150)]
    stream = []
    for commit in range(600):
        stream.append("commit refs/heads/main\ncommitter A <a@example.org> %d +0000\n"
                      "data <<E\nstep %d\nE\n" % (1000000000 + commit * 3600, commit))
        for i in range(150) if commit == 0 else rng.sample(range(150), 6):
            for _ in range(5):
                files[i][rng.randrange(len(files[i]))] = " ".join(rng.choices(lexicon, k=9))
            stream.append("M 100644 inline dir%d/file%d.txt\ndata <<E\n%s\nE\n"
                          % (i % 12, i, "\n".join(files[i])))
    env = dict(os.environ, GIT_CONFIG_NOSYSTEM="1", HOME="/nonexistent")
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", path], check=True, env=env)
    subprocess.run(["git", "-C", path, "fast-import", "--quiet"], check=True, env=env,
                   input="".join(stream).encode())


MAKERS = {
    "words.txt": words_txt, "items.json": items_json, "items.xml": items_xml,
    "big.c": big_c, "mixed.bin": mixed_bin, "puzzle.smt2": puzzle_smt2,
    "pages.ps": pages_ps, "repo.git": repo_git,
}


def make(names, directory):
    os.makedirs(directory, exist_ok=True)
    for name in names:
        path = os.path.join(directory, name)
        if os.path.exists(path):
            continue
        half = path + ".half"
        if os.path.isdir(half):
            shutil.rmtree(half)
        MAKERS[name](half)
        os.rename(half, path)
