#include "tools/flags.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "passes/base/error.h"
#include "passes/base/text.h"

namespace lathe::cli {
namespace {

[[noreturn]] void throw_usage(std::string where, std::string what,
                              std::string hint = "") {
  throw Error(ErrorKind::kUsage, std::move(where), std::move(what),
              std::move(hint));
}

// "--output" of "-o,--output".
std::string long_name(const std::string& names) {
  return names.substr(names.rfind(',') + 1);
}

template <class T>
T parse_number(const std::string& where, std::string_view text, T low, T high) {
  T value{};
  const auto [end, code] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || value < low ||
      value > high)
    throw_usage(where, fmt::format("found '{}', expected a whole number from "
                                   "{} to {}",
                                   text, low, high));
  return value;
}

CLI::Option* add_parsed(CLI::App& app, const std::string& names,
                        const std::string& type, const std::string& help,
                        std::function<void(const std::string&)> parse) {
  return app.add_option_function<std::string>(names, std::move(parse), help)
      ->type_name(type);
}

}  // namespace

CLI::Option* add_text(CLI::App& app, const std::string& names,
                      const std::string& type, std::string& value,
                      const std::string& help) {
  auto* option = app.add_option(names, value, help)->type_name(type);
  if (!value.empty()) option->default_str(value);
  return option;
}

CLI::Option* add_texts(CLI::App& app, const std::string& names,
                       const std::string& type,
                       std::vector<std::string>& values,
                       const std::string& help) {
  auto* option = app.add_option(names, values, help)->type_name(type);
  if (names.front() == '-') option->allow_extra_args(false);
  return option;
}

CLI::Option* add_switch(CLI::App& app, const std::string& names, bool& value,
                        const std::string& help) {
  return app.add_flag(names, value, help);
}

CLI::Option* add_count(CLI::App& app, const std::string& names,
                       const std::string& type, int64_t low, int64_t high,
                       int64_t& value, const std::string& help) {
  return add_parsed(app, names, type, help,
                    [&value, low, high,
                     where = long_name(names)](const std::string& text) {
                      value = parse_number<int64_t>(where, text, low, high);
                    })
      ->default_str(std::to_string(value));
}

CLI::Option* add_choice(CLI::App& app, const std::string& names,
                        const std::vector<std::string>& choices,
                        std::string& value, const std::string& help) {
  auto* option = add_parsed(
      app, names, join(choices, "|"), help,
      [&value, choices, where = long_name(names)](const std::string& text) {
        if (std::find(choices.begin(), choices.end(), text) == choices.end())
          throw_usage(where, "found '" + text + "', expected one of " +
                                 join(choices, ", ") +
                                 did_you_mean(text, choices));
        value = text;
      });
  if (!value.empty()) option->default_str(value);
  return option;
}

double parse_decibels(const std::string& flag, std::string_view text) {
  std::string_view number = text;
  if (number.ends_with("dB")) number.remove_suffix(2);
  double value = 0;
  const auto [end, code] =
      std::from_chars(number.data(), number.data() + number.size(), value);
  if (code != std::errc() || end != number.data() + number.size() ||
      !std::isfinite(value))
    throw Error(
        ErrorKind::kUsage, flag,
        fmt::format("found '{}', expected a number of dB like 20", text));
  return value;
}

double parse_share(const std::string& flag, std::string_view text) {
  double value = -1;
  const auto [end, code] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() ||
      !(value >= 0 && value <= 1))
    throw_usage(flag, fmt::format("found '{}', expected a number from 0 to 1 "
                                  "like 0.5",
                                  text));
  return value;
}

void parse_input_shape(std::string_view text, ir::InputShapes& shapes) {
  const size_t colon = text.rfind(':');
  const std::string name(
      colon == std::string_view::npos ? "" : text.substr(0, colon));
  const std::string_view numbers =
      colon == std::string_view::npos ? text : text.substr(colon + 1);
  std::vector<int64_t> dims;
  if (numbers != "scalar") {
    for (const std::string& part : split(numbers, 'x')) {
      int64_t dim = 0;
      const auto [end, code] =
          std::from_chars(part.data(), part.data() + part.size(), dim);
      if (code != std::errc() || end != part.data() + part.size() || dim < 0)
        throw_usage("--input-shape", fmt::format("found '{}', expected a shape "
                                                 "like 1x3x224x224 or "
                                                 "name:1x3x224x224",
                                                 text));
      dims.push_back(dim);
    }
  }
  if (!shapes.emplace(name, std::move(dims)).second)
    throw_usage("--input-shape", name.empty()
                                     ? "a shape without a name is given twice"
                                     : "input '" + name + "' is given twice");
}

double parse_seconds(const std::string& flag, std::string_view text) {
  struct Unit {
    std::string_view name;
    double seconds;
  };
  constexpr Unit kUnits[] = {
      {"ms", 1e-3}, {"min", 60}, {"m", 60}, {"s", 1}, {"", 1}};
  for (const Unit& unit : kUnits) {
    if (!text.ends_with(unit.name)) continue;
    const std::string_view number =
        text.substr(0, text.size() - unit.name.size());
    double value = 0;
    const auto [end, code] =
        std::from_chars(number.data(), number.data() + number.size(), value);
    if (code == std::errc() && end == number.data() + number.size() &&
        value > 0 && value <= 1e6)
      return value * unit.seconds;
    break;
  }
  throw_usage(
      flag, fmt::format("found '{}', expected a time like 180s or 3min", text));
}

// "1", or with `several` "1,2,4": ascending, each once.
static std::vector<int64_t> parse_threads(const std::string& text,
                                          bool several) {
  const std::vector<std::string> parts =
      several ? split(text, ',') : std::vector<std::string>{text};
  std::vector<int64_t> counts;
  for (const std::string& part : parts)
    counts.push_back(parse_number<int64_t>("--threads", part, 1, 1024));
  std::sort(counts.begin(), counts.end());
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  return counts;
}

void add_shared_flags(CLI::App& app, SharedFlags& flags, bool several_threads) {
  const auto common = [](CLI::Option* option) { option->group(kSharedGroup); };
  common(add_switch(app, "--json", flags.json,
                    "print one JSON document on stdout; an error is one JSON "
                    "line on stderr"));
  common(add_switch(app, "-q,--quiet", flags.quiet,
                    "no progress; warnings and errors stay"));
  common(add_switch(app, "-v,--verbose", flags.verbose, "say more"));
  common(add_choice(app, "--color", {"auto", "always", "never"}, flags.color,
                    "colour; auto is on a terminal without NO_COLOR"));
  common(add_parsed(app, "--threads", several_threads ? "N[,M...]" : "N",
                    "threads of the device whose latency counts",
                    [&flags, several_threads](const std::string& text) {
                      flags.thread_counts =
                          parse_threads(text, several_threads);
                      flags.threads = flags.thread_counts.front();
                    })
             ->default_str("1"));
  auto* jobs = add_count(app, "--jobs", "N", 0, 1024, flags.jobs,
                         "threads for the work itself");
  common(jobs->default_str("all cores"));
  common(add_parsed(app, "--seed", "N", "seed of everything random",
                    [&flags](const std::string& text) {
                      flags.seed = parse_number<uint64_t>(
                          "--seed", text, 0,
                          std::numeric_limits<uint64_t>::max());
                    })
             ->default_str("0"));
  common(app.add_option_function<std::vector<std::string>>(
                "--input-shape",
                [&flags](const std::vector<std::string>& texts) {
                  flags.input_shapes.clear();
                  for (const std::string& text : texts)
                    parse_input_shape(text, flags.input_shapes);
                },
                "shape for an input with unknown dimensions; can be given for "
                "each input (unknown ones are 1)")
             ->type_name("[NAME:]AxBx…")
             ->allow_extra_args(false));
  auto* samples =
      add_count(app, "--samples", "N", 0, std::numeric_limits<int64_t>::max(),
                flags.samples, "samples of the data to read");
  common(samples->default_str("all"));
}

bool parse_flags(CLI::App& app, std::vector<std::string> args) {
  const std::string where = "lathe " + app.get_name();
  const std::string hint = "see 'lathe help " + app.get_name() + "'";
  const auto check_extras = [&] {
    const std::vector<std::string> extras = app.remaining();
    if (extras.empty()) return;
    const std::string& extra = extras.front();
    if (extra.size() < 2 || extra.front() != '-')
      throw_usage(where, "unexpected argument '" + extra + "'", hint);
    std::vector<std::string> names;
    for (const CLI::Option* option : app.get_options())
      for (const std::string& name : option->get_lnames())
        names.push_back("--" + name);
    const std::string flag = extra.substr(0, extra.find('='));
    throw_usage(where,
                "unknown option '" + flag + "'" + did_you_mean(flag, names),
                hint);
  };
  app.allow_extras();
  std::reverse(args.begin(), args.end());
  try {
    app.parse(std::move(args));
  } catch (const CLI::CallForHelp&) {
    return false;
  } catch (const CLI::RequiredError& error) {
    check_extras();
    throw_usage(where, error.what(), hint);
  } catch (const CLI::ParseError& error) {
    check_extras();
    throw_usage(where, error.what(), hint);
  }
  check_extras();
  return true;
}

}  // namespace lathe::cli
