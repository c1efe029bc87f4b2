#include "tools/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "passes/base/json.h"
#include "passes/base/text.h"
#include "tools/output.h"

namespace lathe::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kRedraw = std::chrono::milliseconds(100);
constexpr auto kLineInterval = std::chrono::seconds(10);
constexpr uint64_t kBarCells = 10;

void write_stderr(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

size_t terminal_width() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    return size.ws_col;
  return 80;
}

// Names from a file must not drive the terminal.
std::string printable(std::string_view line) {
  std::string text;
  for (const char c : line) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n' || (byte >= 0x20 && byte != 0x7f)) {
      text += c;
    } else {
      text += fmt::format("\\x{:02x}", byte);
    }
  }
  return text;
}

}  // namespace

bool use_color(const std::string& choice, int fd) {
  if (choice != "auto") return choice == "always";
  const char* no_color = std::getenv("NO_COLOR");
  if (no_color && *no_color) return false;
  const char* term = std::getenv("TERM");
  return ::isatty(fd) && !(term && std::string_view(term) == "dumb");
}

Terminal::Terminal(const TerminalOptions& options)
    : options_(options),
      is_terminal_(::isatty(STDERR_FILENO)),
      color_(use_color(options.color, STDERR_FILENO)) {
  const char* term = std::getenv("TERM");
  if (term && std::string_view(term) == "dumb") is_terminal_ = false;
}

Terminal::~Terminal() { end(); }

void Terminal::begin(std::string_view task, uint64_t total) {
  const std::lock_guard lock(mutex_);
  clear();
  active_ = true;
  task_ = printable((stage_.empty() ? "" : stage_ + ": ") + std::string(task));
  note_.clear();
  total_ = total;
  done_ = 0;
  started_ = last_drawn_ = Clock::now();
  if (options_.quiet) return;
  if (is_terminal_) {
    draw();
  } else if (!options_.json) {
    write_stderr(task_ + "\n");
  }
}

void Terminal::advance(uint64_t steps, std::string_view note) {
  const std::lock_guard lock(mutex_);
  if (!active_) return;
  done_ += steps;
  if (!note.empty()) note_ = printable(note);
  if (options_.quiet) return;
  if (is_terminal_) {
    if (Clock::now() - last_drawn_ >= kRedraw) draw();
  } else if (!options_.json && !note_.empty() &&
             Clock::now() - last_drawn_ >= kLineInterval) {
    write_stderr(line() + "\n");
    last_drawn_ = Clock::now();
  }
}

void Terminal::end() {
  const std::lock_guard lock(mutex_);
  clear();
  active_ = false;
}

void Terminal::info(std::string_view line) {
  if (options_.quiet || (options_.json && !is_terminal_)) return;
  const std::lock_guard lock(mutex_);
  print("", "", line);
}

void Terminal::set_stage(const std::string& name) {
  const std::lock_guard lock(mutex_);
  stage_ = name;
}

void Terminal::detail(std::string_view line) {
  if (options_.verbose) info(line);
}

void Terminal::warn(std::string_view line) {
  const std::lock_guard lock(mutex_);
  print("warning: ", "\x1b[33m", line);
}

void Terminal::error(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (options_.json) {
    clear();
    const Json document = {{"error",
                            {{"kind", to_string(error.kind())},
                             {"where", error.where()},
                             {"what", error.message()},
                             {"hint", error.hint()}}}};
    write_stderr(dump(document, /*indent=*/-1) + "\n");
    return;
  }
  // A message of several lines is several errors.
  const std::string place = error.where().empty() ? "" : error.where() + ": ";
  for (const std::string& line : split(error.message(), '\n'))
    print("error: ", "\x1b[31m", place + line);
  if (!error.hint().empty()) print("hint: ", "\x1b[36m", error.hint());
}

void Terminal::print(std::string_view label, const char* color,
                     std::string_view line) {
  clear();
  std::string text;
  if (!label.empty()) {
    text = color_ ? color + std::string(label) + "\x1b[0m" : label;
  }
  write_stderr(text + printable(line) + "\n");
  if (active_ && is_terminal_ && !options_.quiet) draw();
}

void Terminal::clear() {
  if (drawn_) write_stderr("\r\x1b[K");
  drawn_ = false;
}

// "task [###-------]  34% 12 s left  note".
std::string Terminal::line() const {
  std::string line = task_;
  const double seconds =
      std::chrono::duration<double>(Clock::now() - started_).count();
  if (total_ > 0) {
    const uint64_t done = std::min(done_, total_);
    const uint64_t cells = kBarCells * done / total_;
    line += fmt::format(" [{:#<{}}{:-<{}}] {:3}%", "", cells, "",
                        kBarCells - cells, 100 * done / total_);
    if (done > 0 && done < total_ && seconds > 1) {
      const double left = seconds * static_cast<double>(total_ - done) /
                          static_cast<double>(done);
      line += fmt::format(" {:.0f} s left", left);
    }
  } else {
    line += fmt::format(" {:.0f} s", seconds);
  }
  if (!note_.empty()) line += "  " + note_;
  return line;
}

void Terminal::draw() {
  std::string line = this->line();
  const size_t width = terminal_width() - 1;
  // Cut between characters, not inside one.
  size_t size = 0, shown = 0;
  while (size < line.size() && shown < width) {
    ++size;
    while (size < line.size() && (line[size] & 0xC0) == 0x80) ++size;
    ++shown;
  }
  line.resize(size);
  write_stderr("\r" + line + "\x1b[K");
  drawn_ = true;
  last_drawn_ = Clock::now();
}

}  // namespace lathe::cli
