#include "calibration/latency/probe/runtime_profile.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "passes/base/error.h"

namespace lathe::latency {
namespace {

constexpr std::string_view kSuffix = "_kernel_time";

// What follows `"key" :` in an event; empty when it has no such key.
std::string_view after_key(std::string_view line, std::string_view key) {
  for (size_t at = line.find(key); at != std::string_view::npos;
       at = line.find(key, at + 1)) {
    if (at == 0 || line[at - 1] != '"') continue;
    size_t end = at + key.size();
    if (end >= line.size() || line[end] != '"') continue;
    ++end;
    while (end < line.size() && line[end] == ' ') ++end;
    if (end >= line.size() || line[end] != ':') continue;
    ++end;
    while (end < line.size() && line[end] == ' ') ++end;
    return line.substr(end);
  }
  return {};
}

// A string without escapes to resolve: node names that hold quotes stay as the
// file writes them.
std::string_view text_after(std::string_view line, std::string_view key) {
  std::string_view rest = after_key(line, key);
  if (!rest.starts_with('"')) return {};
  for (size_t end = 1; end < rest.size(); ++end) {
    if (rest[end] == '\\') {
      ++end;
      continue;
    }
    if (rest[end] == '"') return rest.substr(1, end - 1);
  }
  return {};
}

// `[{"float":[1,64]},{"int64":[]}]` -> "[1,64][]".
std::string shapes_of(std::string_view list) {
  std::string shapes;
  int depth = 0;
  for (char c : list) {
    if (c == '[') ++depth;
    if (depth == 2 && (c == '[' || c == ']' || c == ',' || c == '-' ||
                       std::isdigit(static_cast<unsigned char>(c))))
      shapes += c;
    if (c == ']' && --depth == 0) break;
  }
  return shapes;
}

int count_shapes(std::string_view list) {
  std::string shapes = shapes_of(list);
  return static_cast<int>(std::count(shapes.begin(), shapes.end(), '['));
}

class Reader {
 public:
  explicit Reader(const std::string& where) : where_(where) {}

  void line(std::string_view line) {
    std::string_view name = text_after(line, "name");
    if (name == "model_run") {
      end_run();
    } else if (name.ends_with(kSuffix)) {
      node(line, name.substr(0, name.size() - kSuffix.size()));
    }
  }

  RuntimeProfile take() {
    if (profile_.runs.empty())
      throw_input(where_, "the runtime's profile holds no run");
    return std::move(profile_);
  }

 private:
  void node(std::string_view line, std::string_view name) {
    std::string_view digits = after_key(line, "dur");
    int32_t duration = -1;
    std::from_chars(digits.data(), digits.data() + digits.size(), duration);
    if (duration < 0)
      throw_input(where_, "the runtime's profile gives no duration for node '" +
                              std::string(name) + "'");
    if (profile_.runs.empty()) {
      profile_.nodes.push_back(
          {std::string(name), std::string(text_after(line, "op_name")),
           shapes_of(after_key(line, "output_type_shape")),
           count_shapes(after_key(line, "input_type_shape"))});
    } else if (current_.size() >= profile_.nodes.size() ||
               profile_.nodes[current_.size()].name != name) {
      throw_input(where_, "the runtime does not run the same nodes each time");
    }
    current_.push_back(duration);
  }

  void end_run() {
    if (current_.size() != profile_.nodes.size())
      throw_input(where_, "the runtime does not run the same nodes each time");
    profile_.runs.push_back(std::move(current_));
    current_.clear();
  }

  const std::string& where_;
  RuntimeProfile profile_;
  std::vector<int32_t> current_;
};

}  // namespace

RuntimeProfile parse_profile(std::string_view json, const std::string& where) {
  Reader reader(where);
  while (!json.empty()) {
    size_t end = json.find('\n');
    reader.line(json.substr(0, end));
    if (end == std::string_view::npos) break;
    json.remove_prefix(end + 1);
  }
  return reader.take();
}

}  // namespace lathe::latency
