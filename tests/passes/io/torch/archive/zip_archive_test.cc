#include "passes/io/torch/archive/zip_archive.h"

#include "passes/base/file.h"
#include "tests/passes/io/torch/archive/pickle_writer.h"
#include "tests/passes/io/torch/doctest_with_torch.h"
#include "tests/support/shared.h"

namespace lathe::io {
namespace {

using test::make_zip;
using test::message_from;

ZipArchive from_text(std::string bytes) {
  return ZipArchive::from_bytes(ir::Bytes::own(std::move(bytes)), "a.zip");
}

std::string open_error(const std::string& bytes) {
  return message_from([&] { from_text(bytes); });
}

std::string read_error(const std::string& bytes, const std::string& name) {
  return message_from([&] { from_text(bytes).read(name); });
}

// The offset of a field of the first directory entry.
size_t directory_field(const std::string& bytes, size_t at) {
  return bytes.find("PK\x01\x02") + at;
}

TEST_CASE("zip: entries, stored and compressed, plain and zip64") {
  for (const bool deflated : {false, true})
    for (const bool zip64 : {false, true}) {
      const ZipArchive archive = from_text(make_zip(
          {{"net/data.pkl", "hello"},
           {"net/code/a.py", std::string(10000, 'a')},
           {"net/empty", ""}},
          {.deflated = deflated, .zip64 = zip64, .comment = "a comment"}));
      CHECK(archive.where() == "a.zip");
      CHECK(archive.root() == "net");
      CHECK(archive.names() ==
            std::vector<std::string>{"data.pkl", "code/a.py", "empty"});
      CHECK(archive.has("data.pkl"));
      CHECK(!archive.has("net/data.pkl"));
      CHECK(archive.size_of("code/a.py") == 10000);
      CHECK(archive.read_text("data.pkl", 5) == "hello");
      CHECK(archive.read_text("code/a.py", 10000) == std::string(10000, 'a'));
      CHECK(archive.read("empty").size() == 0);
    }
}

TEST_CASE("zip: folders are left out, and only a common one is taken off") {
  const ZipArchive inside =
      from_text(make_zip({{"net/", ""}, {"net/a", "1"}, {"net/b/", ""}}));
  CHECK(inside.root() == "net");
  CHECK(inside.names() == std::vector<std::string>{"a"});
  const ZipArchive mixed = from_text(make_zip({{"net/a", "1"}, {"b", "2"}}));
  CHECK(mixed.root().empty());
  CHECK(mixed.names() == std::vector<std::string>{"net/a", "b"});
  const ZipArchive similar = from_text(make_zip({{"n/a", ""}, {"net/b", ""}}));
  CHECK(similar.root().empty());
  const ZipArchive rooted = from_text(make_zip({{"/etc/passwd", "x"}}));
  CHECK(rooted.root().empty());
  CHECK(rooted.names() == std::vector<std::string>{"/etc/passwd"});
  CHECK(from_text(make_zip({})).names().empty());
}

TEST_CASE("zip: a stored entry is a part of the mapped file") {
  const test::TempDir folder;
  const auto path = folder.path() / "a.zip";
  write_file_atomic(path, make_zip({{"x/a", "first"}, {"x/b", "second"}}));
  ir::Bytes a, b, again;
  {
    const ZipArchive archive = ZipArchive::open(path);
    CHECK(archive.where() == path.string());
    a = archive.read("a");
    b = archive.read("b");
    again = archive.read("a");
  }
  CHECK(a.span().data() == again.span().data());
  CHECK(b.span().data() - a.span().data() == 64);
  CHECK(reinterpret_cast<uintptr_t>(b.span().data()) % 64 == 0);
  CHECK(static_cast<char>(b.span()[0]) == 's');
}

TEST_CASE("zip: an archive inside an archive shares its bytes") {
  const ZipArchive outer =
      from_text(make_zip({{"in.zip", make_zip({{"a", "1"}})}}));
  const ir::Bytes bytes = outer.read("in.zip");
  const ZipArchive inner = ZipArchive::from_bytes(bytes, "a.zip: in.zip");
  const ir::Bytes content = inner.read("a");
  CHECK(content.span().data() > bytes.span().data());
  CHECK(content.span().data() < bytes.span().data() + bytes.size());
  CHECK(message_from([&] { inner.read("b"); }) ==
        "a.zip: in.zip: the archive holds no 'b'");
}

TEST_CASE("zip: what is none") {
  CHECK(is_zip("PK\x03\x04 and more"));
  CHECK(is_zip(make_zip({})));
  CHECK(!is_zip("PK\x03"));
  CHECK(!is_zip(""));
  CHECK(open_error("") == "a.zip: the file is empty");
  CHECK(open_error(std::string(100, 'x')) == "a.zip: not a zip archive");
  const test::TempDir folder;
  CHECK(message_from([&] { ZipArchive::open(folder.path() / "none"); }) ==
        (folder.path() / "none").string() + ": no such file (check the path)");
}

TEST_CASE("zip: a truncated archive") {
  const std::string whole = make_zip({{"net/a", "hello"}, {"net/b", "you"}});
  const std::string truncated =
      "a.zip: the zip archive is truncated: the directory at its end is "
      "missing "
      "(copy or download the file again)";
  for (size_t size = 4; size < whole.size(); ++size) {
    CAPTURE(size);
    CHECK(open_error(whole.substr(0, size)) == truncated);
  }
  CHECK(open_error(whole + "x") == truncated);
}

TEST_CASE("zip: content that is not what the directory says") {
  const std::string whole = make_zip({{"net/a", "hello"}});
  std::string flipped = whole;
  flipped[flipped.find("hello")] = 'j';
  CHECK(read_error(flipped, "a") ==
        "a.zip: a: is damaged: its CRC-32 does not match");
  std::string headless = whole;
  headless[0] = 'Q';
  CHECK(read_error(headless, "a") ==
        "a.zip: a: is damaged: its header is missing");
  std::string shifted = whole;
  shifted[29] = '\x7f';  // the extra field's length
  CHECK(read_error(shifted, "a") ==
        "a.zip: a: is damaged: it reaches beyond the end of the file");
  std::string longer = whole;
  longer[directory_field(longer, 24)] = 9;
  CHECK(read_error(longer, "a") ==
        "a.zip: a: is damaged: its two sizes differ");
  std::string encrypted = whole;
  encrypted[directory_field(encrypted, 8)] = 1;
  CHECK(read_error(encrypted, "a") == "a.zip: a: is encrypted");
  std::string method = whole;
  method[directory_field(method, 10)] = 12;
  CHECK(read_error(method, "a") ==
        "a.zip: a: is compressed by method 12, expected stored or deflated");
  CHECK(message_from([&] { from_text(whole).read("a", 4); }) ==
        "a.zip: a: has 5 B, expected at most 4 B");
  CHECK(message_from([&] { from_text(whole).size_of("b"); }) ==
        "a.zip: the archive holds no 'b'");
}

TEST_CASE("zip: compressed content that is not what the directory says") {
  const std::string whole =
      make_zip({{"net/a", std::string(5000, 'h')}}, {.deflated = true});
  const auto with_size = [&](uint64_t size) {
    std::string bytes = whole, field;
    test::put_little_endian(field, size, 4);
    return bytes.replace(directory_field(bytes, 24), 4, field);
  };
  const std::string broken =
      "a.zip: a: is damaged: its compressed data is broken";
  CHECK(read_error(with_size(4999), "a") == broken);
  CHECK(read_error(with_size(5001), "a") == broken);
  CHECK(read_error(with_size(1 << 29), "a") ==
        "a.zip: a: is damaged: its sizes do not fit together");
  CHECK(read_error(with_size(0xfffffffe), "a") ==
        "a.zip: a: unpacks to 4.0 GiB, expected at most 1.0 GiB");
}

// An archive of two entries with a number overwritten: at `at` bytes into the
// directory, or, where that is negative, so far before the end.
std::string patched(int at, uint64_t value, int count, bool zip64 = false) {
  std::string bytes =
      make_zip({{"net/a", "hello"}, {"net/b", "you"}}, {.zip64 = zip64});
  std::string field;
  test::put_little_endian(field, value, count);
  const size_t from = at < 0 ? bytes.size() : directory_field(bytes, 0);
  return bytes.replace(from + static_cast<size_t>(at), field.size(), field);
}

TEST_CASE("zip: sizes and places that cannot be") {
  const std::string damaged = "a.zip: the zip archive is damaged: ";
  CHECK(open_error(patched(-6, 1, 4)) ==
        damaged + "its directory is not where the end record says");
  CHECK(open_error(patched(-10, 1, 4)) ==
        damaged + "its directory is not where the end record says");
  CHECK(open_error(patched(-12, 0xffff, 2)) ==
        damaged + "its directory of 102 B cannot hold 65535 entries");
  CHECK(open_error(patched(-12, 1, 2)) ==
        damaged + "its directory has a broken entry");
  CHECK(open_error(patched(-18, 1, 2)) ==
        damaged + "it is one part of several");
  CHECK(open_error(patched(0, 0, 4)) ==
        damaged + "its directory has a broken entry");
  CHECK(open_error(patched(28, 0xffff, 2)) ==
        damaged + "its directory has a broken entry");
  CHECK(open_error(patched(20, 1 << 30, 4)) ==
        damaged + "'net/a' does not lie inside it");
  CHECK(open_error(patched(42, 0xfffffff0, 4)) ==
        damaged + "'net/a' does not lie inside it");
  CHECK(open_error(patched(42, 69, 4)) ==
        damaged + "'net/a' does not lie inside it");
  CHECK(open_error(patched(20, 0xffffffff, 4)) ==
        damaged + "'net/a' lacks its zip64 sizes");
  // In zip64 fields: content, packed, offset, after 46 + 5 + 4 bytes.
  CHECK(open_error(patched(63, uint64_t{1} << 60, 8, true)) ==
        damaged + "'net/a' does not lie inside it");
  CHECK(open_error(patched(71, UINT64_MAX, 8, true)) ==
        damaged + "'net/a' does not lie inside it");
  CHECK(read_error(patched(55, uint64_t{1} << 60, 8, true), "a") ==
        "a.zip: a: is damaged: its two sizes differ");
  CHECK(open_error(patched(-34, UINT64_MAX, 8, true)) ==
        damaged + "its zip64 end record is not where it should be");
}

TEST_CASE("zip: names that hide something") {
  const std::string damaged = "a.zip: the zip archive is damaged: ";
  CHECK(open_error(make_zip({{"net/a", "1"}, {"net/a", "2"}})) ==
        damaged + "it holds 'net/a' twice");
  CHECK(open_error(make_zip({{std::string("net/a\0b", 7), "1"}})) ==
        damaged + "an entry has no name or one with control characters");
  CHECK(open_error(make_zip({{"", "1"}})) ==
        damaged + "an entry has no name or one with control characters");
}

TEST_CASE("zip: PyTorch's own archives") {
  const auto path =
      test::shared_file("models/cifar10_resnet20/model_traced.pt");
  if (path.empty()) return;
  const ZipArchive archive = ZipArchive::open(path);
  CHECK(archive.root() == "model_traced");
  CHECK(archive.names()[0] == "data/0");
  CHECK(archive.size_of("data/0") == 1728);
  CHECK(archive.read_text("version", 10) == "3\n");
  for (const std::string& name : archive.names())
    CHECK(archive.read(name).size() == archive.size_of(name));
}

}  // namespace
}  // namespace lathe::io
