#include "passes/base/byte_stream.h"

#include <doctest/doctest.h>

#include <cstdint>

namespace lathe {
namespace {

TEST_CASE("what is written is read back") {
  ByteWriter to;
  to.add(int64_t{-3});
  to.add(true);
  const std::vector<double> list = {0.5, -0.0, 1e300};
  to.add(std::span(list));
  to.add(std::span<const float>());
  to.add(std::string("a\0b", 3));
  ByteReader from(to.bytes());
  CHECK(from.next<int64_t>() == -3);
  CHECK(from.next<bool>());
  CHECK(from.next_list<double>() == list);
  CHECK(from.next_list<float>().empty());
  CHECK(from.next_text() == std::string("a\0b", 3));
}

TEST_CASE("bytes that end early") {
  const std::string message =
      "byte stream: it ends before what is read from it (this is a bug in "
      "Lathe; please report it)";
  CHECK_THROWS_WITH_AS(ByteReader("abc").next<int32_t>(), message.c_str(),
                       Error);
  ByteWriter to;
  to.add(size_t{1} << 60);
  CHECK_THROWS_WITH_AS(ByteReader(to.bytes()).next_list<double>(),
                       message.c_str(), Error);
}

}  // namespace
}  // namespace lathe
