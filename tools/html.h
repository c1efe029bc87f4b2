// What the pages that Lathe writes share.
#pragma once

#include <string>
#include <string_view>

namespace lathe::cli {

// For text and attributes.
std::string html_escaped(std::string_view text);
// A page with that title, style and body, complete and without links to
// anything.
std::string html_page(std::string_view title, std::string_view style,
                      std::string_view body);

}  // namespace lathe::cli
