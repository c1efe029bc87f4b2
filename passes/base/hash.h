// SHA-256 for manifests and caches.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace lathe {

// 64 lower-case hex digits (FIPS 180-4).
std::string sha256_hex(std::string_view bytes);
std::string sha256_hex(std::span<const std::byte> bytes);
// Streams the file. Errors as read_file.
std::string sha256_file(const std::filesystem::path& path);

}  // namespace lathe
