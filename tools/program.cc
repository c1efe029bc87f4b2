#include "tools/program.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <new>

#include "calibration/latency/session.h"
#include "passes/base/error.h"
#include "passes/base/text.h"
#include "recipes/report.h"
#include "tools/command.h"
#include "tools/flags.h"
#include "tools/full_program.h"
#include "tools/output.h"

namespace lathe::cli {
namespace {

CancelToken cancel_token;

// The first signal asks the work to end; the handler is gone by then, so the
// second one kills.
void on_signal(int) { cancel_token.cancel(); }

void install_signal_handlers() {
  struct sigaction action {};
  action.sa_handler = &on_signal;
  action.sa_flags = SA_RESETHAND | SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

std::string overview() {
  std::string text =
      "lathe turns a trained model down to a latency target.\n\n"
      "Usage: lathe COMMAND [options]\n\nExamples:\n"
      "  lathe demo -o lathe-demo\n"
      "  lathe compress model.onnx --data train.json --target-latency 0.6x -o "
      "out\n";
  std::string group;
  for (const Command& command : command_table()) {
    if (group != command.group) text += fmt::format("\n{}:\n", command.group);
    group = command.group;
    text += fmt::format("  {:<10}{}\n", command.name, command.summary);
  }
  return text +
         "\n'lathe help COMMAND' shows a command's options; 'lathe --version' "
         "the version.\n";
}

const Command& find_command(const std::string& name) {
  for (const Command& command : command_table())
    if (command.name == name) return command;
  if (name.starts_with("-"))
    throw Error(ErrorKind::kUsage, "lathe",
                "unknown option '" + name + "' in the place of a command",
                "a command's options come after its name");
  throw Error(
      ErrorKind::kUsage, "lathe",
      "unknown command '" + name + "'" + did_you_mean(name, command_names()),
      "'lathe help' lists the commands");
}

// One command's flags, ready to parse.
struct Prepared {
  explicit Prepared(const Command& command)
      : app(std::string(command.summary), command.name) {
    std::string summary = app.get_description();
    app.description("lathe " + std::string(command.name) + ": " + summary);
    action = command.setup(app);
    add_shared_flags(app, flags, command.several_threads);
    app.get_help_ptr()->group(kSharedGroup)->description("show this help");
  }

  CLI::App app;
  SharedFlags flags;
  Action action;
};

int dispatch(const std::vector<std::string>& args,
             std::unique_ptr<Terminal>& terminal) {
  if (args.empty()) {
    const std::string text = overview();
    std::fwrite(text.data(), 1, text.size(), stderr);
    return exit_code(ErrorKind::kUsage);
  }
  const std::string& first = args[0];
  if (first == "--version" || first == "-V") {
    print_result(fmt::format("lathe {} (ONNX Runtime {})\n",
                             recipes::tool_version(),
                             latency::runtime_version()));
    return 0;
  }
  const bool help = first == "help" || first == "--help" || first == "-h";
  if (help && args.size() == 1) {
    print_result(overview());
    return 0;
  }
  Prepared prepared(find_command(help ? args[1] : first));
  const auto show_help = [&] {
    print_result(help_text(prepared.app));
    return 0;
  };
  if (help) return show_help();
  if (!parse_flags(prepared.app, {args.begin() + 1, args.end()}))
    return show_help();
  SharedFlags& flags = prepared.flags;
  for (const CLI::Option* option : prepared.app.get_options())
    if (option->count() > 0) flags.given.insert(option->get_name());
  terminal = std::make_unique<Terminal>(
      TerminalOptions{flags.quiet, flags.verbose, flags.json, flags.color});
  Context context{flags, *terminal, cancel_token};
  const int code = prepared.action(context);
  terminal->end();
  return code;
}

}  // namespace

int run_program(const std::vector<std::string>& args) {
  install_signal_handlers();
  // Until the flags are read, only the presence of --json is known.
  TerminalOptions early;
  early.json = std::find(args.begin(), args.end(), "--json") != args.end();
  auto terminal = std::make_unique<Terminal>(early);
  const auto fail = [&](const Error& error) {
    terminal->end();
    terminal->error(error);
    return exit_code(error.kind());
  };
  try {
    try {
      return dispatch(args, terminal);
    } catch (const NeedsTorch&) {
      terminal->end();
      cancel_token.check();
      become_full_program(args);
    }
  } catch (const Error& error) {
    return fail(error);
  } catch (const std::bad_alloc&) {
    return fail(Error(ErrorKind::kInternal, "lathe", "out of memory",
                      "try --jobs 1, or a machine with more memory"));
  } catch (const std::exception& error) {
    return fail(Error(ErrorKind::kInternal, "lathe", error.what(),
                      "this is a bug in Lathe; please report it"));
  } catch (...) {
    return fail(Error(ErrorKind::kInternal, "lathe", "unknown failure",
                      "this is a bug in Lathe; please report it"));
  }
}

}  // namespace lathe::cli
