// Names as `keep` takes them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lathe::prune {

// `pattern` is the name, with * for any run of characters.
bool matches(std::string_view pattern, std::string_view name);

// "keep names 'x', which …; did you mean 'y'?" for each of `patterns` that
// matches none of `names`; `what` is what the names are of ("no node of the
// model").
std::vector<std::string> unmatched(const std::vector<std::string>& patterns,
                                   const std::vector<std::string>& names,
                                   const std::string& what);

}  // namespace lathe::prune
