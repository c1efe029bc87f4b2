#include "passes/io/torch/exported/exported_program_place.h"

#include <algorithm>
#include <cctype>
#include <vector>

#include "passes/base/text.h"

namespace lathe::io::exported {
namespace {

// "L['self'].layer1[0]" and "layer1.0@1", as some versions write paths, are
// "layer1.0".
std::string plain_path(std::string_view path) {
  std::string plain;
  if (path.starts_with("L['")) {
    const size_t end = path.find("']");
    path.remove_prefix(end == std::string_view::npos ? path.size() : end + 2);
  }
  for (size_t i = 0; i < path.size(); ++i) {
    if (path.substr(i).starts_with("._modules['")) {
      i += std::string_view("._modules['").size() - 1;
      plain += '.';
    } else if (path[i] == '[') {
      plain += '.';
    } else if (path[i] == '@') {
      while (i + 1 < path.size() &&
             std::isdigit(static_cast<unsigned char>(path[i + 1])))
        ++i;
    } else if (path[i] != ']' && path[i] != '\'' && path[i] != '"') {
      plain += path[i];
    }
  }
  if (plain.starts_with('.')) plain.erase(0, 1);
  return plain;
}

std::string text_or_empty(const JsonField& metadata, const char* key) {
  const auto field = metadata.find(key);
  return field ? field->text() : std::string();
}

}  // namespace

std::string module_path(std::string_view nn_module_stack) {
  // Stands for the module where there is none.
  constexpr std::string_view kNone = "_empty_nn_module_stack";
  const std::vector<std::string> entries = split(nn_module_stack, ';');
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    const std::vector<std::string> parts = split(*entry, ',');
    if (parts.size() >= 3 && !parts[1].starts_with(kNone))
      return plain_path(parts[1]);
  }
  return "";
}

std::string source_line(std::string_view stack_trace) {
  // "File "resnet.py", line 79, in forward" and then the line itself.
  constexpr std::string_view kHead = "File \"";
  std::string found;
  for (const std::string& raw : split(stack_trace, '\n')) {
    std::string_view line = trim(raw);
    if (!line.starts_with(kHead)) continue;
    line.remove_prefix(kHead.size());
    const size_t quote = line.find("\", line ");
    if (quote == std::string_view::npos) continue;
    std::string_view rest = line.substr(quote + 8);
    const size_t digits =
        std::min(rest.find_first_not_of("0123456789"), rest.size());
    found = std::string(line.substr(0, quote)) + ":" +
            std::string(rest.substr(0, digits));
    const size_t in = rest.find(", in ");
    if (in != std::string_view::npos)
      found += " in " + std::string(rest.substr(in + 5));
  }
  return found;
}

std::string NodePlace::describe(const std::string& target) const {
  return target + (module.empty() ? "" : " in " + module) +
         (source.empty() ? "" : " (" + source + ")");
}

NodePlace node_place(const JsonField& node, const std::string& outer_module) {
  NodePlace place;
  place.module = outer_module;
  const auto metadata = node.find("metadata");
  if (!metadata) return place;
  const std::string stack = text_or_empty(*metadata, "nn_module_stack");
  if (!stack.empty()) place.module = module_path(stack);
  place.source = source_line(text_or_empty(*metadata, "stack_trace"));
  return place;
}

}  // namespace lathe::io::exported
