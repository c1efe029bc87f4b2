#include "calibration/latency/runtime.h"

#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

#include <cctype>
#include <cstdlib>
#include <optional>

#include "calibration/latency/session.h"
#include "passes/base/error.h"
#include "passes/base/text.h"

namespace lathe::latency {
namespace runtime {
namespace {

void ORT_API_CALL discard_log(void*, OrtLoggingLevel, const char*, const char*,
                              const char*, const char*) {}

const OrtApi* load_api() {
  const OrtApiBase* base = OrtGetApiBase();
  // GetApi writes to stderr when it refuses, so look at the version first:
  // release 1.N implements the API versions up to N.
  std::string version = base->GetVersionString();
  std::vector<std::string> parts = split(version, '.');
  int minor = parts.size() > 1 ? std::atoi(parts[1].c_str()) : 0;
  bool too_old = parts[0] == "1" && minor < ORT_API_VERSION;
  const OrtApi* api = too_old ? nullptr : base->GetApi(ORT_API_VERSION);
  if (!api)
    throw_unsupported(
        "ONNX Runtime " + version,
        "the library is older than the headers this program was built with "
        "(1." +
            std::to_string(ORT_API_VERSION) + ")",
        "let the loader find a newer libonnxruntime.so");
  return api;
}

Ort::Env* make_environment() {
  // Nothing about a user's models is kept or leaves the machine: without it,
  // version 1.30 writes a database into the user's cache folder.
  ::setenv("ORT_DISABLE_TELEMETRY", "1", /*overwrite=*/1);
  Ort::InitApi(load_api());
  return new Ort::Env(ORT_LOGGING_LEVEL_ERROR, "lathe", discard_log, nullptr);
}

// The end of "path/file.cc:123 " that starts at `at`, if one does.
std::optional<size_t> source_place_end(std::string_view text, size_t at) {
  size_t end = text.find_first_of(" \t", at);
  if (end == std::string_view::npos) return std::nullopt;
  std::string_view word = text.substr(at, end - at);
  size_t colon = word.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == word.size())
    return std::nullopt;
  for (char c : word.substr(colon + 1))
    if (!std::isdigit(static_cast<unsigned char>(c))) return std::nullopt;
  std::string_view file = word.substr(0, colon);
  for (std::string_view suffix : {".cc", ".h", ".cpp", ".hpp"})
    if (file.ends_with(suffix)) return end + 1;
  return std::nullopt;
}

// The end of "onnxruntime::Class::Function(args) const " that starts at `at`;
// `at` when there is none.
size_t signature_end(std::string_view text, size_t at) {
  size_t open = text.find('(', at);
  if (open == std::string_view::npos) return at;
  std::string_view name = text.substr(at, open - at);
  bool is_function =
      name.find("::") != std::string_view::npos ||
      (!name.empty() && name.find(' ') == std::string_view::npos);
  if (!is_function) return at;
  int depth = 0;
  size_t end = open;
  for (; end < text.size(); ++end) {
    if (text[end] == '(') ++depth;
    if (text[end] == ')' && --depth == 0) break;
  }
  if (end == text.size()) return at;
  ++end;
  if (text.substr(end).starts_with(" const")) end += 6;
  // "[with T = float]" of templates.
  if (text.substr(end).starts_with(" [with ")) {
    size_t close = text.find(']', end);
    if (close != std::string_view::npos) end = close + 1;
  }
  while (end < text.size() && text[end] == ' ') ++end;
  return end;
}

}  // namespace

Ort::Env& environment() {
  static Ort::Env* env = make_environment();
  return *env;
}

std::string clean_message(std::string_view message) {
  message = trim(message.substr(0, message.find('\n')));
  // "Load model from x.onnx failed:": `where` says the name already.
  if (message.starts_with("Load model from ")) {
    size_t end = message.find(" failed:");
    if (end != std::string_view::npos) message = trim(message.substr(end + 8));
  }
  std::string clean;
  for (size_t at = 0; at < message.size();) {
    bool word_start = at == 0 || message[at - 1] == ' ' ||
                      message[at - 1] == ':' || message[at - 1] == '.';
    auto end = word_start ? source_place_end(message, at) : std::nullopt;
    if (end)
      at = signature_end(message, *end);
    else
      clean += message[at++];
  }
  std::string_view result = trim(clean);
  while (result.ends_with('.') || result.ends_with(' '))
    result.remove_suffix(1);
  return result.empty() ? "it gives no reason" : std::string(result);
}

}  // namespace runtime

std::string runtime_version() { return OrtGetApiBase()->GetVersionString(); }

}  // namespace lathe::latency
