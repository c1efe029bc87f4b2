#include "passes/io/torch/archive/pickle.h"

#include <cmath>

#include "passes/base/random.h"
#include "tests/passes/io/torch/archive/pickle_writer.h"
#include "tests/passes/io/torch/doctest_with_torch.h"

namespace lathe::io {
namespace {

using Kind = PickleValue::Kind;
using test::message_from;
using test::py_call;
using test::py_global;
using test::py_int;
using test::py_ints;
using test::py_object;
using test::py_pickle;
using test::py_tensor;
using test::py_text;
using test::py_tuple;

PicklePointer read(std::string_view bytes, bool opaque = false) {
  return read_pickle(bytes, "a.pkl", {.opaque_objects = opaque});
}

std::string error_in(std::string_view bytes, bool opaque = false) {
  return message_from([&] { read(bytes, opaque); });
}

// A literal with its zero bytes.
template <size_t N>
std::string raw(const char (&text)[N]) {
  return std::string(text, N - 1);
}

// As Python's repr, to compare whole values.
std::string repr(const PickleValue& value) {
  const auto list = [&](const char* open, const char* close) {
    std::string out = open;
    for (const auto& item : value.items)
      out += (out.size() > 1 ? ", " : "") + repr(*item);
    return out + close;
  };
  switch (value.kind) {
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return value.integer ? "True" : "False";
    case Kind::kInt:
      return std::to_string(value.integer);
    case Kind::kFloat:
      return std::to_string(value.real);
    case Kind::kString:
      return "'" + value.text + "'";
    case Kind::kBytes:
      return "b'" + value.text + "'";
    case Kind::kList:
      return list("[", "]");
    case Kind::kTuple:
      return list("(", ")");
    case Kind::kSet:
      return list("<", ">");
    case Kind::kDict:
      return list("{", "}");
    case Kind::kTensor:
      return "tensor " + value.tensor.storage_key;
    case Kind::kGlobal:
      return value.text;
    case Kind::kObject:
      return value.text + list(":", ";");
    case Kind::kPersistent:
      return list("@", "");
  }
  return "?";
}

std::string value_of(std::string_view bytes, bool opaque = false) {
  return repr(*read(bytes, opaque));
}

TEST_CASE("pickle: numbers of every opcode") {
  CHECK(value_of("N.") == "None");
  CHECK(value_of("\x88.") == "True");
  CHECK(value_of("\x89.") == "False");
  CHECK(value_of("I01\n.") == "True");
  CHECK(value_of("I00\n.") == "False");
  CHECK(value_of("I-12\n.") == "-12");
  CHECK(value_of("L123L\n.") == "123");
  CHECK(value_of("L119547037146038801333356L\n.") ==
        "'119547037146038801333356'");
  CHECK(value_of("K\xff.") == "255");
  CHECK(value_of("M\x01\x02.") == "513");
  CHECK(value_of("J\xfe\xff\xff\xff.") == "-2");
  CHECK(value_of(raw("\x8a\x00.")) == "0");
  CHECK(value_of("\x8a\x01\x80.") == "-128");
  CHECK(value_of(raw("\x8a\x02\x80\x00.")) == "128");
  CHECK(value_of(raw("\x8b\x01\x00\x00\x00\x07.")) == "7");
  CHECK(value_of(py_pickle(py_int(INT64_MIN))) == std::to_string(INT64_MIN));
  CHECK(value_of(raw("\x8a\x09\x01\x02\x03\x04\x05\x06\x07\x08\x00.")) ==
        "578437695752307201");
  CHECK(value_of("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.") ==
        "b'\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19'");
  CHECK(value_of(raw("\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\x00.")) ==
        raw("b'\xff\xff\xff\xff\xff\xff\xff\xff\x00'"));
  CHECK(value_of(raw("G\x3f\xf8\x00\x00\x00\x00\x00\x00.")) == "1.500000");
  CHECK(value_of("F-2.5e1\n.") == "-25.000000");
  CHECK(std::isnan(read("Fnan\n.")->real));
}

TEST_CASE("pickle: texts and bytes of every opcode") {
  CHECK(value_of("S'it\\'s \\x41\\102\\n\\\\'\n.") == "'it's AB\n\\'");
  CHECK(value_of("S\"a\"\n.") == "'a'");
  CHECK(value_of("Va\\u00e9\\U0001f600\xe9\\n\n.") ==
        "'a\xc3\xa9\xf0\x9f\x98\x80\xc3\xa9\\n'");
  CHECK(value_of("U\x02hi.") == "'hi'");
  CHECK(value_of("\x8c\x02hi.") == "'hi'");
  CHECK(value_of(raw("T\x02\0\0\0hi.")) == "'hi'");
  CHECK(value_of(raw("X\x02\0\0\0hi.")) == "'hi'");
  CHECK(value_of(raw("\x8d\x02\0\0\0\0\0\0\0hi.")) == "'hi'");
  CHECK(value_of("C\x02hi.") == "b'hi'");
  CHECK(value_of(raw("B\x02\0\0\0hi.")) == "b'hi'");
  CHECK(value_of(raw("\x8e\x02\0\0\0\0\0\0\0hi.")) == "b'hi'");
  CHECK(value_of(raw("\x96\x02\0\0\0\0\0\0\0hi.")) == "b'hi'");
}

TEST_CASE("pickle: containers, marks and the memo") {
  CHECK(value_of("](K\x01K\x02"
                 "eK\x03"
                 "a.") == "[1, 2, 3]");
  CHECK(value_of("(K\x01K\x02l.") == "[1, 2]");
  CHECK(value_of("(K\x01K\x02t.") == "(1, 2)");
  CHECK(value_of(").") == "()");
  CHECK(value_of("K\x01\x85.") == "(1)");
  CHECK(value_of("K\x01K\x02\x86.") == "(1, 2)");
  CHECK(value_of("K\x01K\x02K\x03\x87.") == "(1, 2, 3)");
  CHECK(value_of("}(U\x01"
                 "aK\x01uU\x01"
                 "bK\x02s.") == "{'a', 1, 'b', 2}");
  CHECK(value_of("(U\x01"
                 "aK\x01"
                 "d.") == "{'a', 1}");
  CHECK(value_of("\x8f(K\x01K\x02\x90.") == "<1, 2>");
  CHECK(value_of("(K\x01\x91.") == "<1>");
  CHECK(value_of("K\x01K\x02"
                 "0.") == "1");
  CHECK(value_of("K\x01((K\x02"
                 "10.") == "1");
  CHECK(value_of("K\x01"
                 "2\x86.") == "(1, 1)");
  CHECK(value_of("]q\x05h\x05\x86.") == "([], [])");
  CHECK(value_of(raw("]r\x05\0\1\0j\x05\0\1\0\x86.")) == "([], [])");
  CHECK(value_of("]p7\ng7\n\x86.") == "([], [])");
  CHECK(value_of("]\x94}\x94h\x01\x87.") == "([], {}, {})");
  CHECK(value_of(raw("\x80\x04\x95\x02\0\0\0\0\0\0\0K\x01.")) == "1");
  const PicklePointer dict = read(
      "}(U\x01"
      "aK\x01U\x01"
      "bK\x02U\x01"
      "aK\x03u.");
  CHECK(dict->find("a")->integer == 3);
  CHECK(dict->find("c") == nullptr);
  CHECK(read("N.")->find("a") == nullptr);
}

TEST_CASE("pickle: reads one of several") {
  size_t consumed = 0;
  CHECK(repr(*read_pickle("K\x01.K\x02.", "a", {}, &consumed)) == "1");
  CHECK(consumed == 3);
}

TEST_CASE("pickle: tensors as PyTorch rebuilds them") {
  const PickledTensor v2 =
      read(py_pickle(py_tensor({.key = "7", .elements = 12, .offset = 6})))
          ->tensor;
  CHECK(v2.storage_key == "7");
  CHECK(v2.storage_type == "FloatStorage");
  CHECK(v2.storage_elements == 12);
  CHECK(v2.offset == 6);
  CHECK(v2.sizes == std::vector<int64_t>{2, 3});
  CHECK(v2.strides == std::vector<int64_t>{3, 1});
  CHECK(!v2.requires_grad);

  const std::string storage =
      test::py_storage({.storage = "torch.cuda\nHalfStorage"});
  const PickledTensor v1 =
      read(py_pickle(py_call("torch._utils\n_rebuild_tensor",
                             {storage, py_int(1), py_ints({5}), py_ints({1})})))
          ->tensor;
  CHECK(v1.storage_type == "HalfStorage");
  CHECK(v1.offset == 1);

  const PickledTensor v3 =
      read(py_pickle(py_call(
               "torch._utils\n_rebuild_tensor_v3",
               {test::py_storage({.storage = "torch.storage\nUntypedStorage"}),
                py_int(0), py_ints({3}), py_ints({1}), "\x88", "N",
                py_global("torch\nuint16")})))
          ->tensor;
  CHECK(v3.storage_type == "torch.uint16");
  CHECK(v3.storage_elements == 3);
  CHECK(v3.requires_grad);

  for (const char* name : {"torch._utils\n_rebuild_parameter",
                           "torch._utils\n_rebuild_parameter_with_state"}) {
    const PicklePointer parameter =
        read(py_pickle(py_call(name, {py_tensor(), "\x88", "N", "N"})));
    CHECK(parameter->kind == Kind::kTensor);
    CHECK(parameter->tensor.sizes == std::vector<int64_t>{2, 3});
    CHECK(parameter->tensor.requires_grad);
  }
}

TEST_CASE("pickle: the calls that are data") {
  const auto call = [](const std::string& name,
                       const std::vector<std::string>& arguments) {
    return value_of(py_pickle(py_call(name, arguments)));
  };
  const std::string list =
      "](K\x01K\x02"
      "e";
  CHECK(call("torch\nSize", {py_ints({2, 3})}) == "(2, 3)");
  CHECK(call("torch\ndevice", {py_text("cpu")}) == "torch.device:('cpu');");
  CHECK(call("torch.serialization\n_get_layout", {py_text("torch.strided")}) ==
        "torch.serialization._get_layout:('torch.strided');");
  for (const char* name : {"build_intlist", "build_tensorlist",
                           "build_doublelist", "build_boollist"})
    CHECK(call(std::string("torch.jit._pickle\n") + name, {list}) == "[1, 2]");
  CHECK(call("torch.jit._pickle\nrestore_type_tag",
             {list, py_text("List[int]")}) == "[1, 2]");
  CHECK(call("collections\nOrderedDict", {}) == "{}");
  CHECK(call("collections\nOrderedDict", {"](" + py_ints({1, 2}) + "e"}) ==
        "{1, 2}");
  CHECK(call("__builtin__\nset", {list}) == "<1, 2>");
  CHECK(call("builtins\nfrozenset", {list}) == "<1, 2>");
  CHECK(call("builtins\nlist", {}) == "[]");
  CHECK(call("builtins\ntuple", {list}) == "(1, 2)");
  CHECK(call("builtins\ndict", {}) == "{}");
  CHECK(call("_codecs\nencode", {py_text("a\xc3\xa9"), py_text("latin1")}) ==
        "b'a\xe9'");
  CHECK(value_of(py_pickle(py_global("torch\nfloat32"))) == "torch.float32");
  CHECK(value_of(py_pickle(py_object("__torch__.a\nNet", "}"))) ==
        "__torch__.a.Net:(), {};");
  CHECK(value_of("\x80\x04\x8c\x09__torch__\x8c\x01N\x93)}\x92.") ==
        "__torch__.N:();");
  CHECK(value_of("(K\x01i__torch__\nN\n.") == "__torch__.N:(1);");
  CHECK(value_of("(c__torch__\nN\nK\x01o.") == "__torch__.N:(1);");
  CHECK(value_of("P17\n.") == "@'17'");
  // A dict's or a parameter's attributes are no part of it.
  CHECK(value_of("ccollections\nOrderedDict\n)R}(U\x01"
                 "aK\x01ub.") == "{}");
  // The older form of torch.save keeps a class with its source.
  CHECK(value_of(
            py_pickle(py_tuple({py_text("module"), py_global("__torch__\nNet"),
                                py_text("net.py"), py_text("…")}) +
                      "Q)\x81")) == "__torch__.Net:();");
}

TEST_CASE("pickle: calls of anything else") {
  const std::string system =
      py_pickle(py_call("os\nsystem", {py_text("true")}));
  const std::string hint =
      " (Lathe runs no code out of a file; beware of running it elsewhere)";
  CHECK(error_in(system) ==
        "a.pkl, byte 24 of the pickle: it calls 'os.system', which tensors and "
        "containers do not need" +
            hint);
  CHECK(value_of(system, /*opaque=*/true) == "os.system:('true');");
  for (const std::string& bytes :
       {raw("cos\nsystem\n)\x81."), raw("(ios\nsystem\n."),
        raw("(cos\nsystem\no."), raw("cos\nsystem\n)}\x92."),
        raw("\x8c\x02os\x8c\x06system\x93)R."),
        raw("cnumpy.core.multiarray\n_reconstruct\n)R."),
        raw("cbuiltins\ngetattr\n)R."), raw("c__torch__x\na\n)R.")}) {
    CAPTURE(bytes);
    CHECK(error_in(bytes).find(": it calls '") != std::string::npos);
    CHECK(read(bytes, /*opaque=*/true)->kind == Kind::kObject);
  }
  CHECK(error_in("K\x01)R.") ==
        "a.pkl, byte 3 of the pickle: an int is called, expected a function or "
        "class");
  // Objects of unknown classes take what belongs to lists and dicts.
  CHECK(value_of("cmy\nDict\n)\x81(U\x01"
                 "aK\x01u.",
                 true) == "my.Dict:();");
  CHECK(error_in("c__torch__\nN\n)\x81(K\x01"
                 "e.") ==
        "a.pkl, byte 18 of the pickle: items are added to an object, expected "
        "a list");
}

TEST_CASE("pickle: tensors that cannot be") {
  const auto error = [](const std::vector<std::string>& arguments) {
    const std::string text = error_in(
        py_pickle(py_call("torch._utils\n_rebuild_tensor", arguments)));
    return text.substr(text.find(": ") + 2);
  };
  const std::string storage = test::py_storage({});
  CHECK(error({storage, py_int(0), py_ints({2, 3})}) ==
        "'torch._utils._rebuild_tensor' has 3 arguments, expected more");
  CHECK(error({"N", py_int(0), py_ints({}), py_ints({})}) ==
        "argument 1 of 'torch._utils._rebuild_tensor' is None, expected a "
        "storage");
  CHECK(error({storage, "N", py_ints({}), py_ints({})}) ==
        "argument 2 of 'torch._utils._rebuild_tensor' is None, expected an "
        "int");
  CHECK(error({storage, py_int(0), "N", py_ints({})}) ==
        "argument 3 of 'torch._utils._rebuild_tensor' is None, expected a "
        "list");
  CHECK(error({storage, py_int(0), py_tuple({"N"}), py_ints({})}) ==
        "argument 3 of 'torch._utils._rebuild_tensor' holds None, expected "
        "ints");
  CHECK(error({storage, py_int(0), py_ints({1, 2}), py_ints({1})}) ==
        "a tensor has 2 sizes and 1 strides");
  CHECK(error({storage, py_int(0), py_ints(std::vector<int64_t>(65, 1)),
               py_ints({})}) ==
        "a tensor has 65 dimensions, expected at most 64");
  CHECK(error({test::py_storage({.storage = "os\nsystem"}), py_int(0),
               py_ints({}), py_ints({})}) ==
        "'os.system' stands where a type of storage belongs");
  CHECK(error({py_tuple({py_text("storage")}) + "Q", py_int(0), py_ints({}),
               py_ints({})}) ==
        "a tensor's storage is not named as ('storage', type, key, device, "
        "elements)");
}

TEST_CASE("pickle: stacks, memos and bytes that do not hold what is needed") {
  const std::string at = "a.pkl, byte ";
  const auto stack = [&](int byte, const char* opcode) {
    return at + std::to_string(byte) +
           " of the pickle: the stack does not hold what opcode " + opcode +
           " needs";
  };
  CHECK(error_in(".") == stack(0, "0x2e"));
  CHECK(error_in("0.") == stack(0, "0x30"));
  CHECK(error_in("K\x01K\x01\x87.") == stack(4, "0x87"));
  CHECK(error_in("](K\x01"
                 "a.") == stack(4, "0x61"));
  CHECK(error_in("](q\x01.") == stack(2, "0x71"));
  CHECK(error_in("t.") ==
        at + "0 of the pickle: opcode 0x74 finds no mark on the stack");
  CHECK(error_in("K\x01K\x02.") ==
        at + "4 of the pickle: more than one value is left at the end");
  CHECK(error_in("(K\x01.") ==
        at + "3 of the pickle: more than one value is left at the end");
  CHECK(error_in("h\x05.") ==
        at + "0 of the pickle: the memo holds no value 5");
  CHECK(error_in("}(K\x01u.") ==
        at + "4 of the pickle: a dict has a key with no value");
  CHECK(error_in("(o.") == at + "1 of the pickle: an object has no class");
  CHECK(error_in("K\x01N\x93.") == at + "3 of the pickle: a name is no string");
  CHECK(error_in("K\x01Nb.") ==
        at + "3 of the pickle: an int is given a state");
  CHECK(error_in("K\x01K\x02"
                 "a.") ==
        at + "4 of the pickle: items are added to an int, expected a list");
  CHECK(error_in("\xff.") == at + "0 of the pickle: unknown opcode 0xff");
  CHECK(error_in("\x80\x06.") ==
        at + "0 of the pickle: found pickle protocol 6, expected at most 5");
  CHECK(error_in("\x82\x01.") ==
        at + "0 of the pickle: it names an object by an extension code");
  CHECK(error_in("\x97.") ==
        at + "0 of the pickle: it refers to a buffer outside the pickle");
  CHECK(error_in("Iabc\n.") ==
        at + "0 of the pickle: an integer literal is broken");
  CHECK(error_in("Fabc\n.") ==
        at + "0 of the pickle: the literal of opcode 'F' is broken");
  CHECK(error_in("S'abc\n.") ==
        at + "0 of the pickle: the literal of opcode 'S' is broken");
  CHECK(error_in("ca b\nc\n.") ==
        at + "0 of the pickle: a name has blanks or control characters");
  CHECK(error_in("c" + std::string(2000, 'a') + "\nc\n.") ==
        at + "0 of the pickle: a name has 2001 bytes, expected at most 1024");
  CHECK(error_in("Ios\n") ==
        at + "0 of the pickle: an integer literal is broken");
  CHECK(error_in("cos") ==
        at + "0 of the pickle: a line does not end: the pickle is truncated or "
             "damaged");
  CHECK(error_in("X\xff\xff\xff\xffhello.") ==
        at + "0 of the pickle: 4294967295 more bytes are needed and 6 are "
             "left: the pickle is truncated or damaged");
  CHECK(error_in("\x8d\xff\xff\xff\xff\xff\xff\xff\xff.") ==
        at + "0 of the pickle: 18446744073709551615 more bytes are needed and "
             "1 are left: the pickle is truncated or damaged");
  CHECK(error_in("") ==
        at + "0 of the pickle: 1 more bytes are needed and 0 are left: the "
             "pickle is truncated or damaged");
}

TEST_CASE("pickle: values that contain themselves") {
  CHECK(error_in("]q\x01h\x01"
                 "a.") ==
        "a.pkl, byte 6 of the pickle: the value contains itself");
  CHECK(error_in("}q\x01(U\x01"
                 "ah\x01\x85u.") ==
        "a.pkl, byte 11 of the pickle: the value contains itself");
  // One that is thrown away again does no harm.
  CHECK(value_of("]q\x01h\x01"
                 "a0K\x01.") == "1");
}

TEST_CASE("pickle: deep nesting") {
  CHECK(read("N" + std::string(1000, '\x85') + ".")->kind == Kind::kTuple);
  CHECK(error_in("N" + std::string(1001, '\x85') + ".") ==
        "a.pkl, byte 1002 of the pickle: the values nest deeper than 1000");
  // Freed without recursion, whether kept or thrown away.
  const std::string very_deep = "N" + std::string(1'000'000, '\x85');
  CHECK(error_in(very_deep + ".") ==
        "a.pkl, byte 1000001 of the pickle: the values nest deeper than 1000");
  CHECK(value_of(very_deep + "0N.") == "None");
  CHECK(error_in(very_deep + "X") ==
        "a.pkl, byte 1000001 of the pickle: 4 more bytes are needed and 0 are "
        "left: the pickle is truncated or damaged");
}

TEST_CASE("pickle: shared values stay small") {
  // Each list holds the one before twice: 2^100 paths, 101 lists.
  std::string bytes = "]";
  for (int i = 0; i < 100; ++i) bytes += "2\x86";
  const PicklePointer root = read(bytes + ".");
  CHECK(root->items[0] == root->items[1]);

  // A long list copied over and over.
  std::string copies = "](";
  for (int i = 0; i < 100000; ++i) copies += "N";
  copies +=
      "eq\x01"
      "0](";
  for (int i = 0; i < 100000; ++i) copies += "cbuiltins\nset\nh\x01\x85R";
  const std::string error = error_in(copies + "e.");
  CHECK(error.substr(error.find(": ")) ==
        ": the values take more than 512.0 MiB");
}

TEST_CASE("pickle: damaged bytes give errors only") {
  const std::string whole = py_pickle(py_object(
      "__torch__\nNet",
      test::py_dict(
          {{"weight", py_tensor()},
           {"sizes", py_call("torch.jit._pickle\nbuild_intlist", {"](K\x01K\x02"
                                                                  "eq\x01"})},
           {"names",
            "(h\x01"
            "S'a'\nI5\nF1.5\nG12345678t"}})));
  CHECK(read(whole)->kind == Kind::kObject);
  for (size_t size = 0; size < whole.size(); ++size)
    CHECK(error_in(whole.substr(0, size)).find("a.pkl, byte ") == 0);
  Random random(7);
  int readable = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string bytes = whole;
    const int changes = 1 + static_cast<int>(random.below(4));
    for (int i = 0; i < changes; ++i)
      bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
    for (const bool opaque : {false, true}) {
      try {
        read(bytes, opaque);
        ++readable;
      } catch (const Error& error) {
        CHECK(error.kind() == ErrorKind::kInput);
      }
    }
  }
  CHECK(readable > 0);
  CHECK(readable < 10000);
}

}  // namespace
}  // namespace lathe::io
