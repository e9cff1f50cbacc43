# Objects, strings and hashes, as a template or a report would make them.
Item = Struct.new(:name, :price, :tags)
sum = 0
ARGV[0].to_i.times do |round|
  items = Array.new(20_000) do |i|
    Item.new("item #{i * (round + 3) % 5003}", i * 7 % 911, ["t#{i % 13}", "u#{i % 7}"])
  end
  by_name = items.group_by(&:name)
  page = by_name.sort.map do |name, list|
    "<li>#{name}: #{list.map { |x| x.tags.join('+') }.join(', ')} #{list.sum(&:price)}</li>"
  end
  sum += page.join("\n").gsub(/t\d+/) { |t| t.upcase }.size
end
puts sum
