// Keeps LibTorch's own threads out of work that is already spread over cores.
#pragma once

#include <ATen/Parallel.h>

namespace lathe::exec {

// While it lives, LibTorch's calls from this thread, and from threads that call
// it for the first time, use one core. Threads of OpenMP spin while they wait,
// which costs many times what small operators take where others compute. Guards
// may nest, and may be held by several threads while an outer one is.
class SingleThread {
 public:
  SingleThread() : before_(at::get_num_threads()) { at::set_num_threads(1); }
  ~SingleThread() { at::set_num_threads(before_); }
  SingleThread(const SingleThread&) = delete;
  SingleThread& operator=(const SingleThread&) = delete;

 private:
  int before_;
};

}  // namespace lathe::exec
