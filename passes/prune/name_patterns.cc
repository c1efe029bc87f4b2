#include "passes/prune/name_patterns.h"

#include <fmt/format.h>

#include <algorithm>

#include "passes/base/text.h"

namespace lathe::prune {

bool matches(std::string_view pattern, std::string_view name) {
  // Where the last * stands, and how much of the name it has taken so far.
  size_t star = std::string_view::npos, taken = 0;
  size_t at = 0, i = 0;
  while (i < name.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      taken = i;
    } else if (at < pattern.size() && pattern[at] == name[i]) {
      ++at;
      ++i;
    } else if (star != std::string_view::npos) {
      at = star + 1;
      i = ++taken;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', at) == std::string_view::npos;
}

std::vector<std::string> unmatched(const std::vector<std::string>& patterns,
                                   const std::vector<std::string>& names,
                                   const std::string& what) {
  std::vector<std::string> reasons;
  for (const std::string& pattern : patterns)
    if (std::ranges::none_of(names, [&](const std::string& name) {
          return matches(pattern, name);
        }))
      reasons.push_back(fmt::format("keep names '{}', which is {}{}", pattern,
                                    what, did_you_mean(pattern, names)));
  return reasons;
}

}  // namespace lathe::prune
