#include "calibration/latency/session.h"

namespace lathe::latency {
namespace {

class RuntimeExecutor final : public Executor {
 public:
  RuntimeExecutor(int threads, bool spin) {
    options_.threads = threads;
    options_.spin = spin;
  }

  std::unique_ptr<Executable> prepare(const ir::Model& model) const override {
    return Session::open(model, options_);
  }

 private:
  SessionOptions options_;
};

}  // namespace

std::unique_ptr<Executor> make_runtime_executor(int threads, bool spin) {
  return std::make_unique<RuntimeExecutor>(threads, spin);
}

}  // namespace lathe::latency
