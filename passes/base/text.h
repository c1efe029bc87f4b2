// Small text helpers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lathe {

std::string join(std::span<const std::string> parts,
                 std::string_view separator);
std::vector<std::string> split(std::string_view text, char separator);
std::string_view trim(std::string_view text);

// The candidate with the smallest Damerau-Levenshtein distance to `name`, or
// "" when none is nearer than about a third of its length.
std::string nearest_name(std::string_view name,
                         std::span<const std::string> candidates);
// "; did you mean 'x'?" or "".
std::string did_you_mean(std::string_view name,
                         std::span<const std::string> candidates);

// 1536 -> "1.5 KiB".
std::string format_bytes(uint64_t bytes);
// 1234567 -> "1.23 M".
std::string format_count(uint64_t count);
// Microseconds: 850 -> "850 us", 12345 -> "12.3 ms", 2.1e6 -> "2.10 s".
std::string format_latency_us(double latency_us);

}  // namespace lathe
