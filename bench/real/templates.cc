// Something for a C++ compiler to chew on: the heavier headers, instantiated.
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

template <int N> struct key {
	std::string text;
	bool operator<(const key &other) const { return text < other.text; }
};

template <int N> std::size_t
use(const std::string &in)
{
	std::map<key<N>, std::vector<std::shared_ptr<std::string>>> index;
	std::variant<int, std::string, std::vector<key<N>>> last = N;
	std::function<bool(const key<N> &)> keep = [&](const key<N> &k) { return k.text < in; };

	for (std::size_t i = 0; i + 3 < in.size(); i++)
		index[{ in.substr(i, 3) }].push_back(std::make_shared<std::string>(in, i));
	std::vector<key<N>> keys;
	for (auto &[k, v] : index)
		if (keep(k))
			keys.push_back(k);
	std::sort(keys.begin(), keys.end());
	last = keys;
	return keys.size() + last.index();
}

template <int... N> std::size_t
use_all(const std::string &in, std::integer_sequence<int, N...>)
{
	return (use<N>(in) + ...);
}

std::size_t
count(const std::string &in)
{
	std::unordered_map<std::string, int> seen;
	std::regex word("([a-z]+)-([0-9]+)");

	for (std::sregex_iterator i(in.begin(), in.end(), word), end; i != end; ++i)
		seen[(*i)[1]]++;
	return seen.size() + use_all(in, std::make_integer_sequence<int, 4>());
}
