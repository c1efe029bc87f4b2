// Block-wise training. The student is cut where it and its teacher have a pair
// of features (feature_pairs.h); from the front, every block learns to give the
// teacher's value from what the blocks before it, as trained, hand to it:
//
//   min |block(student's x) - teacher's y|^2 / var(y)
//
// and the last one the teacher's outputs, by the losses of make_objective().
// A student's channel is held to the teacher's whose values correlate best with
// its own: after pruning that is the one it was. A block that comes out no
// better on the samples stays as it was. After Li et al. 2020, "Blockwisely
// Supervised Neural Architecture Search with Knowledge Distillation", arXiv
// 1911.13053, section 3.2.
#include "passes/distill/block_training.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "passes/base/error.h"
#include "passes/base/jobs.h"
#include "passes/base/random.h"
#include "passes/distill/distill_task.h"
#include "passes/distill/loss_inputs.h"
#include "passes/distill/model_shapes.h"
#include "passes/exec/model_part.h"
#include "passes/exec/optimizer.h"
#include "passes/exec/staged_run.h"

namespace lathe::distill {
namespace {

constexpr int64_t kMostBlocks = 64;
// Bytes of what is held of both models between two blocks.
constexpr int64_t kMemory = int64_t{1} << 30;

using Entries = std::vector<std::vector<at::Tensor>>;  // [batch][value]

// [channels, everything else].
at::Tensor by_channel(const at::Tensor& value, int64_t axis) {
  return value.to(at::kFloat).movedim(axis, 0).flatten(1);
}

// For each of the student's channels, one of the teacher's: the best
// correlations first, each once.
std::vector<int64_t> match_channels(const at::Tensor& student,
                                    const at::Tensor& teacher, int64_t axis) {
  const auto normalized = [&](const at::Tensor& value) {
    const at::Tensor rows = by_channel(value, axis);
    const at::Tensor centered = rows - rows.mean(1, /*keepdim=*/true);
    return centered / centered.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-12);
  };
  const at::Tensor table =
      at::mm(normalized(student), normalized(teacher).t()).contiguous();
  const int64_t own = table.size(0), others = table.size(1);
  const float* cells = table.data_ptr<float>();
  std::vector<int64_t> order(static_cast<size_t>(own * others));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return cells[a] > cells[b]; });
  std::vector<int64_t> chosen(static_cast<size_t>(own), -1);
  std::vector<bool> taken(static_cast<size_t>(others));
  for (const int64_t cell : order) {
    int64_t& mine = chosen[static_cast<size_t>(cell / others)];
    const auto theirs = static_cast<size_t>(cell % others);
    if (mine >= 0 || taken[theirs]) continue;
    mine = static_cast<int64_t>(theirs);
    taken[theirs] = true;
  }
  return chosen;
}

// The node behind the one that computes the value.
const ir::Node* next_node(const ir::Graph& graph, const std::string& value) {
  const ir::Node* producer = graph.find(value)->producer();
  const std::vector<ir::Node*> nodes = graph.node_list();
  const auto found = std::find(nodes.begin(), nodes.end(), producer);
  return std::next(found) == nodes.end() ? nullptr : *std::next(found);
}

// What the blocks' programs may train: initializers that one block alone reads.
std::map<std::string, int> count_readers(
    const std::vector<const ir::Model*>& parts) {
  std::map<std::string, int> readers;
  for (const ir::Model* part : parts)
    for (const ir::Value* value : part->graph->initializers())
      ++readers[value->name()];
  return readers;
}

void take_over(const ir::Model& part, ir::Model& model) {
  for (const ir::Value* value : part.graph->initializers())
    if (ir::Value* target = model.graph->find(value->name());
        target && target->has_initializer())
      target->set_tensor(value->tensor());
}

class BlockTraining {
 public:
  BlockTraining(ir::Model& model, const DistillOptions& options,
                PassContext& context)
      : model_(model),
        options_(options),
        context_(context),
        teacher_(simplified_teacher(context)),
        shapes_{with_shapes(model, context), with_shapes(teacher_, context)},
        pairs_(pair_features(shapes_.student, shapes_.teacher, all_pairs())),
        samples_(draw()),
        students_(model_, samples_, context),
        teachers_(teacher_, samples_, context),
        objective_(make_objective(options_, shapes_.student, shapes_.teacher,
                                  /*has_labels=*/false)) {
    if (!objective_.feature_terms.empty())
      throw Error(ErrorKind::kUsage, "losses",
                  "blocks are held to the teacher's values by themselves; only "
                  "losses on outputs can be chosen",
                  "leave '" +
                      std::string(objective_.feature_terms[0].row->name) +
                      "' out");
    find_shared();
  }

  PassResult run() {
    at::set_num_threads(effective_jobs(context_.jobs));
    context_.progress->begin("train blocks", pairs_.size() + 1);
    for (size_t i = 0; i <= pairs_.size(); ++i) {
      train_block(i);
      context_.progress->advance(1);
    }
    context_.progress->end();
    result_.remarks.insert(
        result_.remarks.begin(),
        {"",
         fmt::format("{} blocks were trained, on {} samples, {} times each",
                     result_.changes, sample_count(), options_.block_epochs)});
    return std::move(result_);
  }

 private:
  // A block's loss on one batch.
  using Loss = std::function<at::Tensor(const std::vector<at::Tensor>& outputs,
                                        size_t batch)>;

  std::vector<exec::Program::Named> draw() {
    return exec::draw_samples(
        *model_.graph, *context_.data, affordable_samples(),
        derive_seed(context_.seed, "blocks"), options_.train.batch_size);
  }

  int64_t sample_count() const {
    int64_t count = 0;
    for (const auto& batch : samples_)
      count +=
          batch.front().second.dim() > 0 ? batch.front().second.size(0) : 1;
    return count;
  }

  static PairOptions all_pairs() {
    PairOptions options;
    options.most = kMostBlocks;
    return options;
  }

  // As many as memory holds of the largest pair.
  int64_t affordable_samples() const {
    const auto bytes = [](const ir::Model& model, const std::string& name) {
      return model.graph->find(name)->type.element_count().value_or(0) *
             static_cast<int64_t>(sizeof(float));
    };
    int64_t largest = 1;
    for (const FeaturePair& pair : pairs_)
      largest = std::max(largest, 2 * bytes(shapes_.student, pair.student) +
                                      2 * bytes(shapes_.teacher, pair.teacher));
    return std::clamp<int64_t>(kMemory / largest, 1, options_.block_samples);
  }

  std::vector<std::string> names_of(size_t block, bool student) const {
    if (block < pairs_.size())
      return {student ? pairs_[block].student : pairs_[block].teacher};
    std::vector<std::string> names;
    const ir::Model& model = student ? model_ : teacher_;
    for (const ir::Value* output : model.graph->outputs())
      names.push_back(output->name());
    return names;
  }

  void find_shared() {
    std::vector<ir::Model> parts;
    std::vector<std::string> from;
    for (const ir::Value* input : model_.graph->inputs())
      from.push_back(input->name());
    for (size_t i = 0; i <= pairs_.size(); ++i) {
      parts.push_back(exec::model_part(model_, from, names_of(i, true)));
      if (i < pairs_.size()) from = {pairs_[i].student};
    }
    std::vector<const ir::Model*> list;
    for (const ir::Model& part : parts) list.push_back(&part);
    readers_ = count_readers(list);
  }

  Entries teachers_values(size_t block) const {
    Entries values(samples_.size());
    teachers_.compute(names_of(block, false),
                      [&](size_t batch, std::vector<at::Tensor> outputs) {
                        values[batch] = std::move(outputs);
                      });
    return values;
  }

  void train_block(size_t block) {
    context_.check_cancelled();
    ir::Model part = students_.part(names_of(block, true));
    const TrainingTwin twin(part, float_reference(context_, teacher_), {});
    exec::CompileOptions compile;
    compile.trainable = [&](const ir::Value& value) {
      const auto readers = readers_.find(value.name());
      return twin.trainable(value) &&
             (readers == readers_.end() || readers->second == 1);
    };
    const auto program = exec::Program::compile(twin.model(), compile);
    if (!program->parameters().empty()) {
      const Entries wanted = teachers_values(block);
      const Loss loss = block < pairs_.size()
                            ? feature_loss(block, *program, wanted)
                            : output_loss(wanted);
      if (improve(block, *program, twin, loss)) {
        twin.store(*program, part);
        take_over(part, model_);
        ++result_.changes;
      }
    }
    if (block == pairs_.size()) return;
    advance(students_, model_, pairs_[block].student);
    advance(teachers_, teacher_, pairs_[block].teacher);
  }

  static void advance(exec::StagedRun& run, const ir::Model& model,
                      const std::string& value) {
    if (const ir::Node* node = next_node(*model.graph, value))
      run.advance(*node);
  }

  std::vector<at::Tensor> run(const exec::Program& program,
                              size_t batch) const {
    return program.run(students_.held(batch));
  }

  Loss feature_loss(size_t block, const exec::Program& program,
                    const Entries& wanted) const {
    const FeaturePair& pair = pairs_[block];
    std::vector<int64_t> channels;
    if (pair.student_channels != pair.teacher_channels) {
      const at::NoGradGuard no_grad;
      channels = match_channels(run(program, 0)[0], wanted[0][0], pair.axis);
      if (std::count(channels.begin(), channels.end(), -1) > 0)
        throw Error(ErrorKind::kUnsupported, pair.student,
                    "has more channels than the teacher's '" + pair.teacher +
                        "': blocks cannot be trained one by one",
                    "leave --mode blocks out");
    }
    const at::Tensor index =
        channels.empty() ? at::Tensor() : at::tensor(channels, at::kLong);
    return [&pair, &wanted, index](const std::vector<at::Tensor>& outputs,
                                   size_t batch) {
      const at::Tensor& whole = wanted[batch][0];
      LossInputs inputs;
      inputs.student = outputs[0];
      inputs.teacher =
          index.defined() ? whole.index_select(pair.axis, index) : whole;
      inputs.axis = pair.axis;
      inputs.name = pair.student;
      const LossRow& row = find_loss("features");
      return compute_loss(row, inputs, row.defaults);
    };
  }

  Loss output_loss(const Entries& wanted) const {
    return
        [this, &wanted](const std::vector<at::Tensor>& outputs, size_t batch) {
          at::Tensor sum;
          for (const OutputTerm& term : objective_.output_terms) {
            const at::Tensor value =
                term.weight *
                compute_output_loss(objective_, term, outputs[term.output],
                                    wanted[batch][term.output], {});
            sum = sum.defined() ? sum + value : value;
          }
          return sum;
        };
  }

  double mean_loss(const exec::Program& program, const Loss& loss) const {
    const at::NoGradGuard no_grad;
    double sum = 0;
    for (size_t batch = 0; batch < samples_.size(); ++batch)
      sum += loss(run(program, batch), batch).item<double>();
    return sum / static_cast<double>(samples_.size());
  }

  // Whether training made the block better.
  bool improve(size_t block, exec::Program& program, const TrainingTwin& twin,
               const Loss& loss) {
    const std::vector<exec::TrainedTensor> trained =
        trained_tensors(program, twin);
    const double before = mean_loss(program, loss);
    const auto optimizer =
        exec::make_optimizer(options_.train.optimizer, trained);
    Random random(derive_seed(context_.seed, fmt::format("block {}", block)));
    std::vector<size_t> order(samples_.size());
    std::iota(order.begin(), order.end(), 0);
    const auto steps =
        static_cast<int64_t>(order.size()) * options_.block_epochs;
    program.set_training(true);
    int64_t step = 0;
    for (int64_t epoch = 0; epoch < options_.block_epochs; ++epoch) {
      random.shuffle(order);
      for (const size_t batch : order) {
        context_.check_cancelled();
        at::manual_seed(derive_seed(
            context_.seed, fmt::format("block {} step {}", block, step)));
        exec::clear_gradients(trained);
        loss(run(program, batch), batch).backward();
        exec::scale_gradients(trained);
        exec::clip_gradients(trained, options_.train.clip_norm);
        optimizer->step(
            options_.train.optimizer.learning_rate *
            exec::learning_rate_factor(options_.train.schedule, step, steps));
        twin.clamp_scales(program);
        ++step;
      }
    }
    program.set_training(false);
    const double after = mean_loss(program, loss);
    const bool better = after < before;
    result_.remarks.push_back(
        {block < pairs_.size() ? pairs_[block].student : "outputs",
         fmt::format("loss {:.4g} before, {:.4g} after{}", before, after,
                     better ? "" : ": it stays as it was")});
    return better;
  }

  ir::Model& model_;
  const DistillOptions& options_;
  PassContext& context_;
  const ir::Model teacher_;
  const struct { ir::Model student, teacher; } shapes_;
  const std::vector<FeaturePair> pairs_;
  const std::vector<exec::Program::Named> samples_;
  exec::StagedRun students_, teachers_;
  const Objective objective_;
  std::map<std::string, int> readers_;
  PassResult result_;
};

}  // namespace

PassResult train_blocks(ir::Model& model, const DistillOptions& options,
                        PassContext& context) {
  return BlockTraining(model, options, context).run();
}

}  // namespace lathe::distill
