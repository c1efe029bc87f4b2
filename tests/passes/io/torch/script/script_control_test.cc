// Control flow, containers and state of TorchScript programs.
#include "tests/passes/io/torch/script/script_fixture.h"

namespace lathe {
namespace {

using test::check_script;
using test::node_types;
using test::script;

const io::ImportOptions kMatrix{{{"x", {2, 3}}}};

TEST_CASE("torchscript: an If on data becomes an If") {
  const auto imported = check_script(script(R"(
def forward(self, x):
    if bool(x.sum() > 0):
        y = x + 1
    else:
        y = x * 2
    return y
)"),
                                     kMatrix);
  CHECK(node_types(imported.model).back() == "If");
}

TEST_CASE("torchscript: an If on sizes folds") {
  const auto imported = check_script(script(R"(
def forward(self, x):
    if x.size(1) == 3 and x.dim() == 2:
        return x.relu()
    return x.sigmoid()
)"),
                                     kMatrix);
  CHECK(node_types(imported.model) == std::vector<std::string>{"Relu"});
}

TEST_CASE("torchscript: a branch that raises is never taken") {
  const auto imported = check_script(script(R"(
def forward(self, x):
    assert bool(x.sum() < 1e9), "too large"
    return x.relu()
)"),
                                     kMatrix);
  CHECK(node_types(imported.model) == std::vector<std::string>{"Relu"});
}

TEST_CASE("torchscript: numbers chosen by an If need no subgraphs") {
  const auto imported = check_script(script(R"(
def forward(self, x, rate: int):
    if rate == 16000:
        n = 2
    else:
        n = 1
    if rate == 8000:
        k = 3
    else:
        k = 4
    return x[:, :n] * k
)"),
                                     kMatrix);
  const auto types = node_types(imported.model);
  CHECK(std::find(types.begin(), types.end(), "If") == types.end());
  CHECK(imported.references.size() == 2);  // both rates
}

TEST_CASE("torchscript: both branches of an If write to an outer tensor") {
  check_script(script(R"(
def forward(self, x):
    y = x.clone()
    if bool(x.sum() > 0):
        y.add_(1)
    else:
        y[:, 0] = 5.
    return y * 2
)"),
               kMatrix);
}

TEST_CASE("torchscript: a loop over a known count is unrolled") {
  const auto imported = check_script(script(R"(
def forward(self, x):
    for i in range(3):
        x = x + i
    return x
)"),
                                     kMatrix);
  CHECK(node_types(imported.model) ==
        std::vector<std::string>{"Add", "Add", "Add"});
}

TEST_CASE("torchscript: a loop over a size stays a Loop") {
  const auto imported = check_script(script(R"(
def forward(self, x):
    y = torch.zeros([3])
    total = 0
    for i in range(x.size(0)):
        y = torch.tanh(y + x[i])
        total += i
    return y, total
)"),
                                     kMatrix);
  const auto types = node_types(imported.model);
  CHECK(std::find(types.begin(), types.end(), "Loop") != types.end());
}

TEST_CASE("torchscript: a loop collects a list that is stacked") {
  for (const char* collect : {"torch.stack(steps, 1)", "torch.cat(steps, 1)",
                              "torch.stack(steps)[-1]"}) {
    CAPTURE(collect);
    check_script(script(std::string(R"(
def forward(self, x):
    steps: List[Tensor] = []
    h = torch.zeros([2, 4])
    for i in range(x.size(0)):
        h = torch.sigmoid(h + x[i])
        steps.append(h)
    return )") + collect +
                        "\n"),
                 {{{"x", {5, 2, 4}}}});
  }
}

TEST_CASE("torchscript: a while loop on data") {
  check_script(script(R"(
def forward(self, x):
    n = 0
    while bool(x.abs().max() > 0.1):
        x = x * 0.5
        n = n + 1
    return x, n
)"),
               kMatrix);
}

TEST_CASE("torchscript: a loop that writes into an outer tensor") {
  check_script(script(R"(
def forward(self, x):
    y = torch.zeros_like(x)
    for i in range(x.size(0)):
        y.add_(x[i])
    return y
)"),
               kMatrix);
}

TEST_CASE("torchscript: containers") {
  const auto imported = check_script(script(R"(
def forward(self, x):
    parts = list(x.split(1, 1))
    parts.append(x)
    parts.reverse()
    sizes = x.size()
    table = {"sum": x.sum(), "first": parts[0]}
    a, b = parts[1], parts[-1]
    return {"joined": torch.cat([a, b], 1), "sum": table["sum"],
            "view": x.view(sizes[0], sizes[1], 1)}
)"),
                                     kMatrix);
  std::vector<std::string> names;
  for (const ir::Value* output : imported.model.graph->outputs())
    names.push_back(output->name());
  CHECK(names == std::vector<std::string>{"joined", "sum", "view"});
}

TEST_CASE("torchscript: writes through views are seen everywhere") {
  check_script(script(R"(
def forward(self, x):
    y = x.clone()
    row = y[1]
    column = y[:, 1:]
    row.mul_(3)
    column += 1
    z = y.t()
    z[0] = -1.
    return y, row, column
)"),
               kMatrix);
}

TEST_CASE("torchscript: attributes that a program assigns are state") {
  torch::jit::Module stateful("Stateful");
  stateful.register_buffer("total", at::zeros({2, 3}));
  stateful.register_attribute("calls", c10::IntType::get(), 0);
  stateful.define(R"(
def forward(self, x):
    self.total = self.total * 0.5 + x
    self.calls += 1
    return self.total + x
)");
  const auto imported = check_script(stateful, kMatrix);
  CHECK(imported.references.size() == 3);
  CHECK(imported.model.graph->inputs()[1]->name() == "total");
  CHECK(imported.model.graph->outputs()[1]->name() == "total_next");
  CHECK(imported.notes ==
        std::vector<std::string>{
            "attribute 'calls' (int) changes from call to call in the "
            "program; here it keeps its first value",
            "attribute 'total' is state: input 'total' (float[2,3], zeros at "
            "the start), output 'total_next'"});
}

TEST_CASE("torchscript: state that is made at the first call") {
  torch::jit::Module module("Lazy");
  module.register_attribute("hidden", c10::TensorType::get(), at::zeros({0}));
  module.define(R"(
def forward(self, x):
    if not bool(len(self.hidden)):
        self.hidden = torch.zeros([x.size(0), 3])
    self.hidden = torch.tanh(self.hidden + x)
    return self.hidden
)");
  const auto imported = check_script(module, {{{"x", {1, 3}}}});
  CHECK(ir::to_string(imported.model.graph->inputs()[1]->type) ==
        "float[batch,3]");
}

TEST_CASE("torchscript: constants made one after the other stay apart") {
  check_script(script(R"(
def forward(self, x):
    y = torch.zeros([8, 3])
    for i in range(8):
        y[i:i + 1, :] = torch.tensor(i * 3) + torch.tensor([1., 2., 3.]) * i
    return x.sum() + y
)"),
               kMatrix);
}

TEST_CASE("torchscript: lists with sizes in them are compared") {
  const auto imported = check_script(script(R"(
def forward(self, x):
    hidden = torch.zeros([x.size(0), 3])
    if hidden.size() != [x.size(0), 3]:
        return x.relu()
    return x + hidden
)"),
                                     kMatrix);
  const auto types = node_types(imported.model);
  CHECK(std::find(types.begin(), types.end(), "If") == types.end());
}

TEST_CASE("torchscript: a loop that changes its state in place") {
  torch::jit::Module module("Loop");
  module.register_buffer("h", at::zeros({2, 3}));
  module.define(R"(
def forward(self, x):
    h = self.h
    for _ in range(x.size(0)):
        h += x
    return h * 1
)");
  const auto imported = check_script(module, kMatrix);
  CHECK(imported.references.size() == 3);
  CHECK(imported.model.graph->outputs().size() == 2);
}

TEST_CASE("torchscript: a loop that swaps and grows what it carries") {
  check_script(script(R"(
def forward(self, x):
    a = x
    b = x * 2
    j = 0
    k = 1
    for i in range(x.size(0)):
        a, b = b, torch.cat([b, x])
        j = k
        k = k + 1
    return a, b, j, a.size(0)
)"),
               kMatrix);
}

TEST_CASE("torchscript: early returns of tuples and numbers") {
  check_script(script(R"(
def early(self, x) -> Tuple[Tensor, int]:
    if bool(x.sum() > 0):
        return x + 1, x.size(0)
    return x * 2, 7

def forward(self, x):
    y, n = self.early(x)
    return y, n
)"),
               kMatrix);
}

TEST_CASE("torchscript: strings, bits and lists as Python has them") {
  check_script(script(R"(
def forward(self, x, n: int):
    names = {"k{}".format(0): 2, "k{}".format(1): 5}
    order = [3, 1, 2]
    order.reverse()
    if n == 6:
        m = n & 3
    else:
        m = n + 1
    return x * names["k1"] + order[0], m
)"),
               kMatrix);
}

TEST_CASE("torchscript: both branches change one tensor, then more") {
  check_script(script(R"(
def forward(self, x):
    v = x.clone()
    row = v[0]
    if bool(x.sum() > 0):
        v += 1
    else:
        v *= 3
    v += 10
    return v, row
)"),
               kMatrix);
}

TEST_CASE("torchscript: contiguous() of a transposed tensor is a copy") {
  check_script(script(R"(
def forward(self, x):
    y = x.clone()
    z = y.t().contiguous()
    z.add_(1)
    flat = y.t().reshape([-1])
    flat.zero_()
    same = y.view([-1])
    same[0] = 9.
    return y, z, flat
)"),
               kMatrix);
}

TEST_CASE("torchscript: what cannot be followed is refused") {
  CHECK(test::script_error(script(R"(
def forward(self, x):
    order = [3, 1, 2]
    order.sort()
    return x * order[0]
)"),
                           kMatrix) ==
        "model.pt (<string>:4): aten::sort: argument 'self' is list of int, "
        "expected a tensor");
  CHECK(test::script_error(script(R"(
def forward(self, x, n: int):
    parts = [1, 2, 3]
    return x * len(parts[:n])
)"),
                           kMatrix) ==
        "model.pt: a list is sliced by a number that depends on data");
}

TEST_CASE("torchscript: token ids that something reads before the embedding") {
  torch::jit::Module module("Tokens");
  module.register_parameter("table", at::randn({4, 3}), false);
  module.define(R"(
def forward(self, ids):
    mask = (ids != 0).unsqueeze(-1)
    return torch.embedding(self.table, ids) * mask
)");
  const auto imported = check_script(module, {{{"ids", {1, 5}}}});
  CHECK(imported.model.graph->inputs()[0]->type.elem == ir::DataType::kInt64);
}

TEST_CASE("torchscript: shared weights are one initializer") {
  torch::jit::Module module("Tied");
  const at::Tensor weight = at::randn({3, 3});
  module.register_parameter("first", weight, false);
  module.register_parameter("second", weight, false);
  module.define(R"(
def forward(self, x):
    return torch.relu(x.matmul(self.first)).matmul(self.second)
)");
  const auto imported = check_script(module, kMatrix);
  CHECK(imported.model.graph->initializers().size() == 1);
  CHECK(imported.model.graph->initializers()[0]->name() == "first");
}

TEST_CASE("torchscript: arguments: tuples, numbers, defaults") {
  const auto imported =
      check_script(script(R"(
def forward(self, x, pair: Tuple[Tensor, Tensor], scale: float,
            more: Optional[Tensor] = None, k: int = 2):
    y = x + pair[0] * pair[1] * scale * k
    if more is not None:
        y = y + more
    return y
)"),
                   {{{"x", {2, 3}}, {"pair_0", {2, 3}}, {"pair_1", {2, 3}}}});
  std::vector<std::string> names;
  for (const ir::Value* input : imported.model.graph->inputs())
    names.push_back(input->name());
  CHECK(names == std::vector<std::string>{"x", "pair_0", "pair_1", "scale"});
}

}  // namespace
}  // namespace lathe
