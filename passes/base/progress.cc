#include "passes/base/progress.h"

#include "passes/base/error.h"

namespace lathe {

void ProgressSink::begin(std::string_view, uint64_t) {}
void ProgressSink::advance(uint64_t, std::string_view) {}
void ProgressSink::end() {}
void ProgressSink::info(std::string_view) {}
void ProgressSink::warn(std::string_view) {}

ProgressSink& silent_progress() {
  static ProgressSink sink;
  return sink;
}

void CancelToken::check() const {
  if (cancelled()) throw Error(ErrorKind::kInterrupted, "", "interrupted");
}

}  // namespace lathe
