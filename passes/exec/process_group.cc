// LibTorch's own process groups (c10d) behind ProcessGroup. Its headers are
// heavy: here alone.
#include "passes/exec/process_group.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <map>
#include <string>

#include "passes/base/error.h"

#if defined(LATHE_WITH_GLOO) || defined(LATHE_WITH_NCCL)
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#endif
#ifdef LATHE_WITH_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#endif
#ifdef LATHE_WITH_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

namespace lathe::exec {
namespace {

class SingleProcess final : public ProcessGroup {
 public:
  int64_t rank() const override { return 0; }
  int64_t ranks() const override { return 1; }
  void all_reduce(const std::vector<at::Tensor>&) override {}
  void broadcast(const std::vector<at::Tensor>&, int64_t) override {}
  void barrier() override {}
};

// What c10d says, without where in its sources.
std::string first_line(const std::exception& error) {
  const auto* ours = dynamic_cast<const c10::Error*>(&error);
  std::string text = ours ? ours->what_without_backtrace() : error.what();
  text.resize(std::min(text.size(), text.find('\n')));
  if (text.ends_with('.')) text.pop_back();
  return text;
}

std::string named(const RankEnvironment& environment) {
  return "rank " + std::to_string(environment.rank) + " of " +
         std::to_string(environment.ranks);
}

#if defined(LATHE_WITH_GLOO) || defined(LATHE_WITH_NCCL)

std::chrono::milliseconds milliseconds(double seconds) {
  return std::chrono::milliseconds(
      std::max<int64_t>(1, static_cast<int64_t>(seconds * 1000)));
}

// Tensors of one type as one vector, and back.
class Flat {
 public:
  Flat(const std::vector<at::Tensor>& parts, at::ScalarType type,
       at::Device device)
      : parts_(parts) {
    std::vector<at::Tensor> rows;
    for (const at::Tensor& part : parts_)
      rows.push_back(part.detach().to(device, type).reshape({-1}));
    // A single one may be the caller's own memory: harmless, as it is written
    // to in the end.
    vector_ = rows.size() == 1 ? rows[0].contiguous() : at::cat(rows);
  }

  at::Tensor& vector() { return vector_; }

  void write_back() const {
    const at::NoGradGuard no_grad;
    int64_t at = 0;
    for (at::Tensor part : parts_) {
      const at::Tensor from =
          vector_.narrow(0, at, part.numel()).view(part.sizes());
      at += part.numel();
      if (part.data_ptr() != from.data_ptr()) part.detach().copy_(from);
    }
  }

 private:
  const std::vector<at::Tensor>& parts_;
  at::Tensor vector_;
};

// By type, in an order that is the same on every rank.
std::map<at::ScalarType, std::vector<at::Tensor>> by_type(
    const std::vector<at::Tensor>& tensors) {
  std::map<at::ScalarType, std::vector<at::Tensor>> groups;
  for (const at::Tensor& tensor : tensors)
    if (tensor.numel() > 0) groups[tensor.scalar_type()].push_back(tensor);
  return groups;
}

at::ScalarType summed_type(at::ScalarType type) {
  switch (type) {
    case at::kHalf:
    case at::kBFloat16:
      return at::kFloat;
    case at::kFloat:
    case at::kDouble:
    case at::kInt:
    case at::kLong:
      return type;
    default:
      throw_internal("all_reduce", std::string("tensors of type ") +
                                       at::toString(type) + " have no sum");
  }
}

// Backend: c10d::ProcessGroupGloo or c10d::ProcessGroupNCCL.
template <typename Backend>
class C10dGroup final : public ProcessGroup {
 public:
  C10dGroup(c10::intrusive_ptr<c10d::Store> store,
            c10::intrusive_ptr<Backend> backend, at::Device device,
            const RankEnvironment& environment)
      : store_(std::move(store)),
        backend_(std::move(backend)),
        device_(device),
        environment_(environment) {}

  int64_t rank() const override { return environment_.rank; }
  int64_t ranks() const override { return environment_.ranks; }

  void all_reduce(const std::vector<at::Tensor>& tensors) override {
    for (const auto& [type, parts] : by_type(tensors)) {
      Flat flat(parts, summed_type(type), device_);
      std::vector<at::Tensor> one = {flat.vector()};
      finish("all_reduce", [&] { return backend_->allreduce(one); });
      flat.write_back();
    }
  }

  void broadcast(const std::vector<at::Tensor>& tensors,
                 int64_t from) override {
    c10d::BroadcastOptions options;
    options.rootRank = static_cast<int>(from);
    for (const auto& [type, parts] : by_type(tensors)) {
      // Bytes: Gloo does not take every type.
      std::vector<at::Tensor> contiguous, bytes;
      for (const at::Tensor& part : parts) {
        contiguous.push_back(part.detach().contiguous());
        bytes.push_back(contiguous.back().view({-1}).view(at::kByte));
      }
      Flat flat(bytes, at::kByte, device_);
      std::vector<at::Tensor> one = {flat.vector()};
      finish("broadcast", [&] { return backend_->broadcast(one, options); });
      flat.write_back();
      const at::NoGradGuard no_grad;
      for (size_t i = 0; i < parts.size(); ++i)
        if (parts[i].data_ptr() != contiguous[i].data_ptr())
          at::Tensor(parts[i]).detach().copy_(contiguous[i]);
    }
  }

  void barrier() override {
    all_reduce({at::zeros({1}, at::TensorOptions().dtype(at::kLong))});
  }

 private:
  template <typename Start>
  void finish(const char* what, Start start) {
    if (!broken_.empty()) fail(what, broken_);
    try {
      start()->wait();
      return;
    } catch (const std::exception& error) {
      broken_ = first_line(error);
    }
    fail(what, broken_);
  }

  [[noreturn]] void fail(const char* what, const std::string& why) const {
    throw Error(ErrorKind::kIo, named(environment_),
                std::string(what) + " with the other ranks failed: " + why,
                "another rank has ended, hangs or cannot be reached: see what "
                "it says");
  }

  const c10::intrusive_ptr<c10d::Store> store_;
  const c10::intrusive_ptr<Backend> backend_;
  const at::Device device_;
  const RankEnvironment environment_;
  std::string broken_;  // why nothing works any more
};

c10::intrusive_ptr<c10d::Store> meet(const RankEnvironment& environment,
                                     const JoinOptions& options) {
  c10d::TCPStoreOptions store;
  store.port = static_cast<uint16_t>(environment.port);
  store.isServer = environment.rank == 0 && !environment.launcher_serves;
  // It counts whole seconds.
  store.timeout = std::chrono::seconds(
      std::max<int64_t>(1, std::llround(std::ceil(options.join_s))));
  if (!environment.launcher_serves)
    store.numWorkers = static_cast<size_t>(environment.ranks);
  c10::intrusive_ptr<c10d::Store> met =
      c10::make_intrusive<c10d::TCPStore>(environment.master, store);
  if (environment.store_prefix.empty()) return met;
  return c10::make_intrusive<c10d::PrefixStore>(environment.store_prefix,
                                                std::move(met));
}

#endif

#ifdef LATHE_WITH_GLOO

// This machine's address on the way to rank 0; "" where that is not known.
std::string own_address(const std::string& master, int port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(master.c_str(), std::to_string(port).c_str(), &hints,
                    &found) != 0)
    return "";
  std::string address;
  for (const addrinfo* to = found; to && address.empty(); to = to->ai_next) {
    const int out = ::socket(to->ai_family, to->ai_socktype, to->ai_protocol);
    if (out < 0) continue;
    sockaddr_storage here{};
    socklen_t size = sizeof here;
    char text[NI_MAXHOST];
    // Of a datagram socket: it picks the way and sends nothing.
    if (::connect(out, to->ai_addr, to->ai_addrlen) == 0 &&
        ::getsockname(out, reinterpret_cast<sockaddr*>(&here), &size) == 0 &&
        ::getnameinfo(reinterpret_cast<sockaddr*>(&here), size, text,
                      sizeof text, nullptr, 0, NI_NUMERICHOST) == 0)
      address = text;
    ::close(out);
  }
  ::freeaddrinfo(found);
  return address;
}

std::shared_ptr<gloo::transport::Device> gloo_device(
    const RankEnvironment& environment) {
  using c10d::ProcessGroupGloo;
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
  if (interface && *interface)
    return ProcessGroupGloo::createDeviceForInterface(interface);
  const std::string address = own_address(environment.master, environment.port);
  return address.empty() ? ProcessGroupGloo::createDefaultDevice()
                         : ProcessGroupGloo::createDeviceForHostname(address);
}

std::shared_ptr<ProcessGroup> join_gloo(const RankEnvironment& environment,
                                        const JoinOptions& options) {
  auto store = meet(environment, options);
  auto gloo =
      c10d::ProcessGroupGloo::Options::create(milliseconds(options.wait_s));
  gloo->devices.push_back(gloo_device(environment));
  auto backend = c10::make_intrusive<c10d::ProcessGroupGloo>(
      store, static_cast<int>(environment.rank),
      static_cast<int>(environment.ranks), gloo);
  return std::make_shared<C10dGroup<c10d::ProcessGroupGloo>>(
      std::move(store), std::move(backend), at::kCPU, environment);
}

#endif

#ifdef LATHE_WITH_NCCL

std::shared_ptr<ProcessGroup> join_nccl(const RankEnvironment& environment,
                                        const JoinOptions& options) {
  auto store = meet(environment, options);
  // Else a rank that is gone would be waited for in vain.
  ::setenv("NCCL_BLOCKING_WAIT", "1", /*overwrite=*/0);
  ::setenv("TORCH_NCCL_BLOCKING_WAIT", "1", /*overwrite=*/0);
  auto nccl = c10d::ProcessGroupNCCL::Options::create();
  nccl->timeout = milliseconds(options.wait_s);
  auto backend = c10::make_intrusive<c10d::ProcessGroupNCCL>(
      store, static_cast<int>(environment.rank),
      static_cast<int>(environment.ranks), nccl);
  return std::make_shared<C10dGroup<c10d::ProcessGroupNCCL>>(
      std::move(store), std::move(backend), options.device, environment);
}

#endif

std::shared_ptr<ProcessGroup> join(
    [[maybe_unused]] const RankEnvironment& environment,
    [[maybe_unused]] const JoinOptions& options) {
#ifdef LATHE_WITH_NCCL
  if (options.device.is_cuda()) return join_nccl(environment, options);
#endif
#ifdef LATHE_WITH_GLOO
  return join_gloo(environment, options);
#else
  throw_unsupported(
      named(environment),
      "this build has no process groups for " + options.device.str(),
      "build with Gloo's headers (libgloo-dev) and a LibTorch that has Gloo");
#endif
}

}  // namespace

std::shared_ptr<ProcessGroup> single_process() {
  return std::make_shared<SingleProcess>();
}

bool has_process_groups([[maybe_unused]] at::Device device) {
#ifdef LATHE_WITH_GLOO
  return true;
#elif defined(LATHE_WITH_NCCL)
  return device.is_cuda();
#else
  return false;
#endif
}

std::shared_ptr<ProcessGroup> join_process_group(
    const RankEnvironment& environment, const JoinOptions& options) {
  if (environment.ranks == 1) return single_process();
  std::shared_ptr<ProcessGroup> group;
  try {
    group = join(environment, options);
    // Only now may rank 0, which serves the meeting point, do without it.
    group->barrier();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(ErrorKind::kIo, named(environment),
                "the ranks did not meet at " + environment.master + ", port " +
                    std::to_string(environment.port) + ": " + first_line(error),
                "every rank has to be started, and reach that address "
                "(MASTER_ADDR, MASTER_PORT)");
  }
  return group;
}

}  // namespace lathe::exec
