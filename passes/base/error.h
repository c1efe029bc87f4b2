// The one exception type of the project.
#pragma once

#include <exception>
#include <string>

namespace lathe {

// Who can act on an error, and so which exit code it ends in.
enum class ErrorKind {
  kUsage,        // a wrong flag or argument; exit 2
  kInput,        // a broken or unsuitable file; exit 2
  kUnsupported,  // a valid input that Lathe cannot do; exit 2
  kIo,           // the system failed to read or write; exit 1
  kInternal,     // a bug of ours; exit 1
  kInterrupted,  // Ctrl-C or a cancelled job; exit 130
};

const char* to_string(ErrorKind kind);
int exit_code(ErrorKind kind);

// `where`: file, node or JSON position; may be empty. `what`: what was found
// and what was expected, one sentence without a full stop. `hint`: what to do;
// may be empty. what() joins them as "where: what (hint)".
class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string where, std::string what,
        std::string hint = "");

  ErrorKind kind() const { return kind_; }
  const std::string& where() const { return where_; }
  const std::string& message() const { return message_; }
  const std::string& hint() const { return hint_; }
  const char* what() const noexcept override { return full_.c_str(); }

 private:
  ErrorKind kind_;
  std::string where_, message_, hint_, full_;
};

[[noreturn]] void throw_input(std::string where, std::string what,
                              std::string hint = "");
[[noreturn]] void throw_unsupported(std::string where, std::string what,
                                    std::string hint = "");
[[noreturn]] void throw_internal(std::string where, std::string what);

}  // namespace lathe
