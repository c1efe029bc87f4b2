// All that the program calls of what is built on LibTorch. Linked into `lathe`
// in place of it; `lathe-torch` has the real ones.
#include "passes/distill/demo_teacher.h"
#include "passes/distill/distill.h"
#include "passes/distill/loss_rows.h"
#include "passes/exec/gram_matrix.h"
#include "passes/exec/process_ranks.h"
#include "passes/io/torch/torch_import.h"
#include "passes/prune/fresh_weights.h"
#include "passes/prune/repair.h"
#include "passes/prune/saliency_methods.h"
#include "passes/quantize/gptq.h"
#include "passes/quantize/quantize.h"
#include "tools/full_program.h"

namespace lathe {

using cli::NeedsTorch;

ir::Model distill::train_demo_teacher(BatchSource&, int64_t,
                                      const TeacherOptions&, ProgressSink&,
                                      const CancelToken*) {
  throw NeedsTorch();
}

void distill::kl_loss(const LossInputs&, const LossSettings&, at::Tensor&) {
  throw NeedsTorch();
}

void distill::dkd_loss(const LossInputs&, const LossSettings&, at::Tensor&) {
  throw NeedsTorch();
}

void distill::dist_loss(const LossInputs&, const LossSettings&, at::Tensor&) {
  throw NeedsTorch();
}

void distill::mse_loss(const LossInputs&, const LossSettings&, at::Tensor&) {
  throw NeedsTorch();
}

void distill::cosine_loss(const LossInputs&, const LossSettings&, at::Tensor&) {
  throw NeedsTorch();
}

void distill::cross_entropy_loss(const LossInputs&, const LossSettings&,
                                 at::Tensor&) {
  throw NeedsTorch();
}

void distill::features_loss(const LossInputs&, const LossSettings&,
                            at::Tensor&) {
  throw NeedsTorch();
}

void distill::attention_loss(const LossInputs&, const LossSettings&,
                             at::Tensor&) {
  throw NeedsTorch();
}

std::unique_ptr<Pass> distill::make_distill(DistillOptions) {
  throw NeedsTorch();
}

std::vector<exec::GramMatrix> exec::gram_matrices(
    const ir::Model&, const std::vector<GramRequest>&, BatchSource&,
    const GramOptions&, ProgressSink&, const CancelToken*) {
  throw NeedsTorch();
}

std::unique_ptr<Ranks> exec::join_ranks(const RankEnvironment&,
                                        const std::string&) {
  throw NeedsTorch();
}

io::Imported io::import_torchscript(const std::filesystem::path&,
                                    const ImportOptions&) {
  throw NeedsTorch();
}

quantize::BlockCodes quantize::gptq(std::span<const float>, int64_t, int64_t,
                                    const BlockFormat&, const exec::GramMatrix&,
                                    const GptqOptions&) {
  throw NeedsTorch();
}

std::unique_ptr<Pass> quantize::make_bias_correction(BiasCorrectionOptions) {
  throw NeedsTorch();
}

std::unique_ptr<Pass> quantize::make_adaround(AdaroundOptions) {
  throw NeedsTorch();
}

prune::Saliency prune::taylor_saliency(const SaliencyTask&) {
  throw NeedsTorch();
}

prune::Saliency prune::fisher_saliency(const SaliencyTask&) {
  throw NeedsTorch();
}

prune::Saliency prune::reconstruction_saliency(const SaliencyTask&) {
  throw NeedsTorch();
}

int64_t prune::draw_weights(ir::Model&, uint64_t) { throw NeedsTorch(); }

PassResult prune::repair(ir::Model&, const ir::Model&, const ChannelGroups&,
                         const Selection&, const RepairOptions&, PassContext&) {
  throw NeedsTorch();
}

std::unique_ptr<Pass> prune::make_reestimate_batch_norm(RepairOptions) {
  throw NeedsTorch();
}

std::unique_ptr<Pass> prune::make_match_channel_moments(RepairOptions) {
  throw NeedsTorch();
}

std::unique_ptr<Pass> prune::make_reconstruct_consumers(RepairOptions) {
  throw NeedsTorch();
}

}  // namespace lathe
