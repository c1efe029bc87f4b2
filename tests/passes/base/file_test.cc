#include "passes/base/file.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "passes/base/error.h"
#include "passes/base/hash.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

struct Folder {
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "lathe-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~Folder() { fs::remove_all(path); }
  size_t entries() const {
    return std::distance(fs::directory_iterator(path), {});
  }
  fs::path path;
};

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return std::string(to_string(error.kind())) + "|" + error.what();
  }
  return "no error";
}

TEST_CASE("a written file is read back, mapped and hashed the same") {
  Folder folder;
  std::string bytes(3'000'000, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = char(i * i >> 7);
  const fs::path path = folder.path / "data.bin";
  write_file_atomic(path, bytes);
  CHECK(read_file(path) == bytes);
  const auto mapped = MappedFile::open(path);
  REQUIRE(mapped->bytes().size() == bytes.size());
  CHECK(std::string(reinterpret_cast<const char*>(mapped->bytes().data()),
                    bytes.size()) == bytes);
  CHECK(sha256_file(path) == sha256_hex(bytes));
  CHECK(folder.entries() == 1);
}

TEST_CASE("an empty file maps to no bytes") {
  Folder folder;
  write_file_atomic(folder.path / "empty", "");
  CHECK(MappedFile::open(folder.path / "empty")->bytes().empty());
  CHECK(read_file(folder.path / "empty").empty());
}

TEST_CASE("what cannot be read says why") {
  Folder folder;
  const std::string absent = (folder.path / "absent").string();
  CHECK(message_of([&] { read_file(absent); }) ==
        "input|" + absent + ": no such file (check the path)");
  CHECK(message_of([&] { MappedFile::open(absent); }) ==
        "input|" + absent + ": no such file (check the path)");
  CHECK(message_of([&] { read_file(folder.path); }) ==
        "input|" + folder.path.string() + ": found a folder, expected a file");
  CHECK(message_of([&] { read_file("/dev/zero"); }) ==
        "input|/dev/zero: expected a regular file");
  const fs::path large = folder.path / "large";
  write_file_atomic(large, std::string(2048, 'x'));
  CHECK(message_of([&] { read_file(large, 1024); }) ==
        "input|" + large.string() +
            ": found 2.0 KiB, expected at most 1.0 KiB");
}

TEST_CASE("a pipe is read up to the limit") {
  Folder folder;
  const fs::path pipe = folder.path / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    std::ofstream(pipe) << "hello";
    ::_exit(0);
  }
  CHECK(read_file(pipe) == "hello");
}

TEST_CASE("an atomic file shows its name only after commit") {
  Folder folder;
  const fs::path path = folder.path / "out";
  write_file_atomic(path, "old");
  {
    AtomicFile file(path);
    file.write("half");
    CHECK(file.position() == 4);
    CHECK(read_file(path) == "old");
    CHECK(folder.entries() == 2);
  }
  CHECK(read_file(path) == "old");
  CHECK(folder.entries() == 1);
  AtomicFile file(path);
  file.write("new");
  file.commit();
  CHECK(read_file(path) == "new");
  CHECK(folder.entries() == 1);
}

TEST_CASE("an atomic file has the mode that the umask leaves") {
  Folder folder;
  const mode_t before = ::umask(027);
  write_file_atomic(folder.path / "out", "x");
  ::umask(before);
  struct stat info {};
  REQUIRE(::stat((folder.path / "out").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0640);
}

TEST_CASE("what cannot be written says why and leaves nothing") {
  Folder folder;
  const fs::path missing = folder.path / "none" / "out";
  CHECK(message_of([&] { AtomicFile file(missing); }) ==
        "input|" + missing.string() +
            ": the folder to write to does not exist (create it first)");
  CHECK(message_of([&] { AtomicFile file(folder.path); }) ==
        "input|" + folder.path.string() +
            ": found a folder, expected a file to write to");
  CHECK(message_of([&] { AtomicFile file("/dev/null"); }) ==
        "input|/dev/null: expected a regular file to write to");
  CHECK(message_of([&] { AtomicFile file(folder.path / ""); }) ==
        "input|" + (folder.path / "").string() +
            ": expected a file name to write to");
  CHECK(folder.entries() == 0);
}

TEST_CASE("a name at the system's limit can be written") {
  Folder folder;
  const std::string name(255, 'n');
  write_file_atomic(folder.path / name, "x");
  CHECK(read_file(folder.path / name) == "x");
}

TEST_CASE("sha-256 agrees with the examples of FIPS 180-4") {
  CHECK(sha256_hex("abc") ==
        "ba7816bf8f01cfea414140de5dae2223"
        "b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex("") ==
        "e3b0c44298fc1c149afbf4c8996fb924"
        "27ae41e4649b934ca495991b7852b855");
}

}  // namespace
}  // namespace lathe
