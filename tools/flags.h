// Flags: every value is checked here, so that messages read alike.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "passes/ir/shape_inference.h"
#include "tools/command.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace lathe::cli {

inline constexpr char kSharedGroup[] = "Every command";

// `names`: "-o,--output", or "MODEL" for an argument. `type`: what the help
// shows for the value.
CLI::Option* add_text(CLI::App& app, const std::string& names,
                      const std::string& type, std::string& value,
                      const std::string& help);
// One value each time it is given; an argument takes all that are left.
CLI::Option* add_texts(CLI::App& app, const std::string& names,
                       const std::string& type,
                       std::vector<std::string>& values,
                       const std::string& help);
CLI::Option* add_switch(CLI::App& app, const std::string& names, bool& value,
                        const std::string& help);
// A whole number in [low, high].
CLI::Option* add_count(CLI::App& app, const std::string& names,
                       const std::string& type, int64_t low, int64_t high,
                       int64_t& value, const std::string& help);
// One of a few words.
CLI::Option* add_choice(CLI::App& app, const std::string& names,
                        const std::vector<std::string>& choices,
                        std::string& value, const std::string& help);

// `several_threads`: --threads takes a list.
void add_shared_flags(CLI::App& app, SharedFlags& flags, bool several_threads);
// "180s", "3min" or "3m", "1500ms"; a number alone is seconds. Error kUsage.
double parse_seconds(const std::string& flag, std::string_view text);

// "20" or "20dB"; error kUsage.
double parse_decibels(const std::string& flag, std::string_view text);

// From 0 to 1; error kUsage.
double parse_share(const std::string& flag, std::string_view text);

// "[name:]1x3x224x224"; error kUsage.
void parse_input_shape(std::string_view text, ir::InputShapes& shapes);

// Reads `args` (without the program's and the command's name). Errors kUsage
// with "lathe <name>" as where. False: help was asked for.
bool parse_flags(CLI::App& app, std::vector<std::string> args);

// Summary, usage, examples, options in groups with defaults.
std::string help_text(const CLI::App& app);

}  // namespace lathe::cli
