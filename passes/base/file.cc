#include "passes/base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

#include "passes/base/error.h"
#include "passes/base/text.h"

namespace lathe {
namespace {

constexpr size_t kChunkBytes = size_t{1} << 20;

std::string system_message(int code) {
  return std::generic_category().message(code);
}

[[noreturn]] void throw_io(const std::filesystem::path& path,
                           const std::string& action, int code) {
  throw Error(ErrorKind::kIo, path.string(),
              "cannot " + action + ": " + system_message(code));
}

// Closes on scope exit.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { ::close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

int open_for_reading(const std::filesystem::path& path) {
  int fd;
  do {
    fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  if (fd >= 0) return fd;
  if (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG ||
      errno == ELOOP)
    throw_input(path.string(), "no such file", "check the path");
  throw_io(path, "open", errno);
}

struct stat checked_stat(int fd, const std::filesystem::path& path,
                         uint64_t max_bytes, bool pipe_allowed) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) throw_io(path, "inspect", errno);
  if (S_ISDIR(info.st_mode))
    throw_input(path.string(), "found a folder, expected a file");
  if (!S_ISREG(info.st_mode) && !(pipe_allowed && S_ISFIFO(info.st_mode)))
    throw_input(path.string(), "expected a regular file");
  if (S_ISREG(info.st_mode) && uint64_t(info.st_size) > max_bytes)
    throw_input(path.string(), "found " + format_bytes(info.st_size) +
                                   ", expected at most " +
                                   format_bytes(max_bytes));
  return info;
}

}  // namespace

void read_file_chunks(const std::filesystem::path& path,
                      const std::function<void(std::string_view)>& take,
                      uint64_t max_bytes) {
  const Descriptor file(open_for_reading(path));
  checked_stat(file.get(), path, max_bytes, /*pipe_allowed=*/true);
  std::vector<char> chunk(kChunkBytes);
  for (uint64_t total = 0;;) {
    const ssize_t count = ::read(file.get(), chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_io(path, "read", errno);
    if (count == 0) return;
    total += static_cast<uint64_t>(count);
    if (total > max_bytes)
      throw_input(path.string(), "found more than the " +
                                     format_bytes(max_bytes) + " expected");
    take({chunk.data(), static_cast<size_t>(count)});
  }
}

std::string read_file(const std::filesystem::path& path, uint64_t max_bytes) {
  std::string text;
  read_file_chunks(
      path, [&](std::string_view chunk) { text.append(chunk); }, max_bytes);
  return text;
}

std::shared_ptr<const MappedFile> MappedFile::open(
    const std::filesystem::path& path) {
  const Descriptor file(open_for_reading(path));
  const struct stat info =
      checked_stat(file.get(), path, UINT64_MAX, /*pipe_allowed=*/false);
  std::shared_ptr<MappedFile> mapped(new MappedFile());
  if (info.st_size == 0) return mapped;
  const auto size = static_cast<size_t>(info.st_size);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) throw_io(path, "map", errno);
  mapped->data_ = static_cast<const std::byte*>(data);
  mapped->size_ = size;
  return mapped;
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  static std::atomic<unsigned> counter{0};
  const std::string name = path_.filename().string();
  if (name.empty() || name == "." || name == "..")
    throw_input(path_.string(), "expected a file name to write to");
  std::error_code ignored;
  const auto status = std::filesystem::status(path_, ignored);
  if (std::filesystem::is_directory(status))
    throw_input(path_.string(), "found a folder, expected a file to write to");
  if (std::filesystem::exists(status) &&
      !std::filesystem::is_regular_file(status))
    throw_input(path_.string(), "expected a regular file to write to");
  do {
    // A short name of our own: the full one may be at the system's limit.
    temporary_ = path_.parent_path() /
                 ("." + name.substr(0, 64) + "." + std::to_string(::getpid()) +
                  "-" + std::to_string(counter++) + ".tmp");
    fd_ =
        ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  } while (fd_ < 0 && (errno == EEXIST || errno == EINTR));
  if (fd_ >= 0) return;
  if (errno == ENOENT || errno == ENOTDIR)
    throw_input(path_.string(), "the folder to write to does not exist",
                "create it first");
  throw_io(path_, "create", errno);
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_io(path_, "write", errno);
    position_ += static_cast<uint64_t>(count);
    bytes.remove_prefix(static_cast<size_t>(count));
  }
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  write(std::string_view(reinterpret_cast<const char*>(bytes.data()),
                         bytes.size()));
}

void AtomicFile::commit() {
  if (fd_ < 0) throw_internal(path_.string(), "file committed twice");
  if (::fsync(fd_) != 0) throw_io(path_, "sync", errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0)
    throw_io(path_, "rename a temporary file to it", errno);
  ::close(std::exchange(fd_, -1));
  // The name itself lasts through a crash only when its folder is synced; some
  // file systems cannot, and the content is safe either way.
  const auto folder = path_.has_parent_path() ? path_.parent_path() : ".";
  const int folder_fd =
      ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_fd < 0) return;
  ::fsync(folder_fd);
  ::close(folder_fd);
}

void write_file_atomic(const std::filesystem::path& path,
                       std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

}  // namespace lathe
