#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>

#include "passes/base/text.h"
#include "tools/flags.h"

namespace lathe::cli {
namespace {

constexpr size_t kWidth = 80;
constexpr size_t kIndent = 28;

// Stands for a space where a line must not end.
constexpr char kNoBreak = '\x1f';

// The words after `line`, wrapped at kWidth, further lines indented.
std::string wrap(std::string line, const std::string& words) {
  std::string text;
  std::istringstream stream(words);
  bool first = true;
  for (std::string word; stream >> word; first = false) {
    if (!first && line.size() + 1 + word.size() > kWidth) {
      text += line + "\n";
      line = std::string(kIndent, ' ') + word;
    } else {
      line += (first ? "" : " ") + word;
    }
  }
  text += line + "\n";
  std::replace(text.begin(), text.end(), kNoBreak, ' ');
  return text;
}

std::string flag_names(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames())
    names.push_back("-" + name);
  for (const std::string& name : option.get_lnames())
    names.push_back("--" + name);
  std::string text = join(names, ", ");
  if (option.get_items_expected_max() > 0) text += " " + option.get_type_name();
  return text;
}

std::string usage(const CLI::App& app) {
  std::string text = "lathe " + app.get_name();
  std::string flags;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional()) {
      const std::string name = option->get_type_name();
      text += option->get_required() ? " " + name : " [" + name + "]";
    } else if (option->get_required() || (option->check_lname("output") &&
                                          option->get_default_str().empty())) {
      const auto& longs = option->get_lnames();
      const auto& shorts = option->get_snames();
      flags += shorts.empty() ? " --" + longs.front() : " -" + shorts.front();
      flags += " " + option->get_type_name();
    }
  }
  return text + flags + " [options]";
}

}  // namespace

std::string help_text(const CLI::App& app) {
  std::string text = app.get_description() + "\n\nUsage: " + usage(app) +
                     "\n\nExamples:\n" + app.get_footer() + "\n";
  std::vector<std::string> groups;
  for (const CLI::Option* option : app.get_options()) {
    const std::string& group = option->get_group();
    if (std::find(groups.begin(), groups.end(), group) == groups.end())
      groups.push_back(group);
  }
  // CLI11 adds --help before anything else; what is the same everywhere stands
  // last.
  const auto shared = std::find(groups.begin(), groups.end(), kSharedGroup);
  if (shared != groups.end()) std::rotate(shared, shared + 1, groups.end());
  for (const std::string& group : groups) {
    if (group.empty()) continue;
    text += "\n" + group + ":\n";
    for (const CLI::Option* option : app.get_options()) {
      if (option->get_group() != group) continue;
      std::string line =
          "  " + (option->get_positional() ? option->get_type_name()
                                           : flag_names(*option));
      std::string words = option->get_description();
      if (!option->get_default_str().empty())
        words += std::string(" (default:") + kNoBreak +
                 option->get_default_str() + ")";
      if (line.size() + 2 > kIndent) {
        text += line + "\n";
        line.clear();
      }
      line.resize(kIndent, ' ');
      text += wrap(line, words);
    }
  }
  return text;
}

}  // namespace lathe::cli
