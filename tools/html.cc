#include "tools/html.h"

#include <fmt/format.h>

namespace lathe::cli {
namespace {

constexpr char kStyle[] = R"(
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem;
       margin: 2rem auto; padding: 0 1rem; }
.chart { overflow-x: auto; }
svg text { font: 11px system-ui, sans-serif; fill: currentColor; }
svg line { stroke: currentColor; stroke-opacity: .25; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; text-align: right;
         border-bottom: 1px solid #8884; }
th:first-child, td:first-child { text-align: left; }
)";

}  // namespace

std::string html_escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string html_page(std::string_view title, std::string_view style,
                      std::string_view body) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<title>{0}</title>\n<style>{1}{2}</style>\n</head>\n<body>\n"
      "<h1>{0}</h1>\n{3}</body>\n</html>\n",
      html_escaped(title), kStyle, style, body);
}

}  // namespace lathe::cli
