#include "calibration/latency/session.h"

namespace lathe::latency {
namespace {

class RuntimeExecutor final : public Executor {
 public:
  explicit RuntimeExecutor(int threads) { options_.threads = threads; }

  std::unique_ptr<Executable> prepare(const ir::Model& model) const override {
    return Session::open(model, options_);
  }

 private:
  SessionOptions options_;
};

}  // namespace

std::unique_ptr<Executor> make_runtime_executor(int threads) {
  return std::make_unique<RuntimeExecutor>(threads);
}

}  // namespace lathe::latency
