#include "passes/rewrite/rounds.h"

namespace lathe::rewrite {
namespace {

class Rounds final : public Pass {
 public:
  Rounds(std::string name, PassList first, PassList repeated, int max_rounds)
      : name_(std::move(name)),
        first_(std::move(first)),
        repeated_(std::move(repeated)),
        max_rounds_(max_rounds) {}

  std::string name() const override { return name_; }

  PassResult run(ir::Model& model, PassContext& context) override {
    PassResult total = run_passes(model, first_, context);
    PassResult round;
    for (int i = 0; i < max_rounds_; ++i) {
      round = run_passes(model, repeated_, context);
      total.changes += round.changes;
      if (round.changes == 0) break;
    }
    for (Remark& remark : round.remarks)
      total.remarks.push_back(std::move(remark));
    return total;
  }

 private:
  std::string name_;
  PassList first_, repeated_;
  int max_rounds_;
};

}  // namespace

std::unique_ptr<Pass> make_rounds(std::string name, PassList first,
                                  PassList repeated, int max_rounds) {
  return std::make_unique<Rounds>(std::move(name), std::move(first),
                                  std::move(repeated), max_rounds);
}

}  // namespace lathe::rewrite
