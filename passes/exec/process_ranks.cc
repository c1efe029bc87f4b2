#include "passes/exec/process_ranks.h"

#include <algorithm>

#include "passes/base/error.h"
#include "passes/exec/process_group.h"

namespace lathe::exec {
namespace {

class GroupRanks final : public Ranks {
 public:
  explicit GroupRanks(std::shared_ptr<ProcessGroup> group)
      : group_(std::move(group)) {}

  int64_t rank() const override { return group_->rank(); }
  int64_t ranks() const override { return group_->ranks(); }

  std::vector<std::string> gather(const std::string& bytes) override {
    at::Tensor sizes = at::zeros({ranks()}, at::kLong);
    sizes[rank()] = static_cast<int64_t>(bytes.size());
    group_->all_reduce({sizes});
    std::vector<std::string> all;
    for (int64_t from = 0; from < ranks(); ++from) {
      const int64_t size = sizes[from].item<int64_t>();
      at::Tensor one = at::empty({size}, at::kByte);
      auto* letters = reinterpret_cast<char*>(one.data_ptr<uint8_t>());
      if (from == rank()) std::copy(bytes.begin(), bytes.end(), letters);
      group_->broadcast({one}, from);
      all.emplace_back(letters, static_cast<size_t>(size));
    }
    return all;
  }

  const std::shared_ptr<ProcessGroup>& group() const { return group_; }

 private:
  const std::shared_ptr<ProcessGroup> group_;
};

}  // namespace

std::unique_ptr<Ranks> make_ranks(std::shared_ptr<ProcessGroup> group) {
  return std::make_unique<GroupRanks>(std::move(group));
}

std::unique_ptr<Ranks> join_ranks(const RankEnvironment& environment,
                                  const std::string& device) {
  JoinOptions options;
  if (device == "cuda")
    options.device = at::Device(
        at::kCUDA, static_cast<at::DeviceIndex>(environment.local_rank));
  return make_ranks(join_process_group(environment, options));
}

std::shared_ptr<ProcessGroup> process_group_of(Ranks* ranks) {
  if (!ranks) return single_process();
  if (const auto* ours = dynamic_cast<GroupRanks*>(ranks)) return ours->group();
  throw_internal("ranks", "there is no process group behind them");
}

}  // namespace lathe::exec
