#include "passes/base/hash.h"

#include <openssl/evp.h>

#include <memory>

#include "passes/base/error.h"
#include "passes/base/file.h"

namespace lathe {
namespace {

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    require(context_ != nullptr &&
            EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }

  void update(std::string_view bytes) {
    require(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  }

  std::string hex() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    require(EVP_DigestFinal_ex(context_.get(), digest, &size) == 1);
    constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (unsigned i = 0; i < size; ++i) {
      text += kDigits[digest[i] >> 4];
      text += kDigits[digest[i] & 15];
    }
    return text;
  }

 private:
  static void require(bool done) {
    if (!done) throw_internal("sha256", "the hash library failed");
  }

  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

std::string sha256_hex(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  return sha256_hex(std::string_view(
      reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

std::string sha256_file(const std::filesystem::path& path) {
  Sha256 hash;
  read_file_chunks(path, [&](std::string_view chunk) { hash.update(chunk); });
  return hash.hex();
}

}  // namespace lathe
