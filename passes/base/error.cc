#include "passes/base/error.h"

#include <utility>

namespace lathe {

const char* to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage:
      return "usage";
    case ErrorKind::kInput:
      return "input";
    case ErrorKind::kUnsupported:
      return "unsupported";
    case ErrorKind::kIo:
      return "io";
    case ErrorKind::kInternal:
      return "internal";
    case ErrorKind::kInterrupted:
      return "interrupted";
  }
  return "internal";
}

int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage:
    case ErrorKind::kInput:
    case ErrorKind::kUnsupported:
      return 2;
    case ErrorKind::kInterrupted:
      return 130;
    case ErrorKind::kIo:
    case ErrorKind::kInternal:
      return 1;
  }
  return 1;
}

Error::Error(ErrorKind kind, std::string where, std::string what,
             std::string hint)
    : kind_(kind),
      where_(std::move(where)),
      message_(std::move(what)),
      hint_(std::move(hint)) {
  if (!where_.empty()) full_ = where_ + ": ";
  full_ += message_;
  if (!hint_.empty()) full_ += " (" + hint_ + ")";
}

void throw_input(std::string where, std::string what, std::string hint) {
  throw Error(ErrorKind::kInput, std::move(where), std::move(what),
              std::move(hint));
}

void throw_unsupported(std::string where, std::string what, std::string hint) {
  throw Error(ErrorKind::kUnsupported, std::move(where), std::move(what),
              std::move(hint));
}

void throw_internal(std::string where, std::string what) {
  throw Error(ErrorKind::kInternal, std::move(where), std::move(what),
              "this is a bug in Lathe; please report it");
}

}  // namespace lathe
