// The opcodes are those of CPython's Lib/pickletools.py, protocols 0 to 5.
#include "passes/io/torch/archive/pickle.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "passes/io/torch/archive/pickle_builder.h"
#include "passes/io/torch/archive/pickle_reader.h"

namespace lathe::io {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMaxNameBytes = 1024;

class PickleMachine {
 public:
  PickleMachine(std::string_view bytes, const std::string& where,
                const PickleOptions& options)
      : builder_(where), reader_(bytes, builder_), options_(options) {}

  PicklePointer run() {
    do {
      builder_.at_byte(reader_.offset());
      opcode_ = static_cast<unsigned char>(reader_.take(1)[0]);
    } while (step());
    if (stack_.size() != 1 || !marks_.empty())
      builder_.fail("more than one value is left at the end");
    const PickleNode root = stack_[0];
    stack_.clear();
    memo_.clear();
    return builder_.finish(root);
  }

  size_t consumed() const { return reader_.offset(); }

 private:
  // One opcode; false after STOP.
  bool step() {
    switch (opcode_) {
      case '.':  // STOP
        need(1);
        return false;
      case 0x80:  // PROTO
        if (const uint64_t protocol = reader_.number(1); protocol > 5)
          builder_.fail(fmt::format(
              "found pickle protocol {}, expected at most 5", protocol));
        return true;
      case 0x95:  // FRAME: bytes that follow anyhow
        reader_.number(8);
        return true;
      case '(':  // MARK
        marks_.push_back(stack_.size());
        return true;
      case '0':  // POP, of a mark too
        if (!marks_.empty() && marks_.back() == stack_.size())
          marks_.pop_back();
        else
          pop();
        return true;
      case '1':  // POP_MARK
        pop_to_mark();
        return true;
      case '2':  // DUP
        push(top());
        return true;
      default:
        if (!step_scalar() && !step_container() && !step_memo() && !step_call())
          builder_.fail(fmt::format("unknown opcode 0x{:02x}", opcode_));
        return true;
    }
  }

  bool step_scalar() {
    switch (opcode_) {
      case 'N':  // NONE
        return push(builder_.none());
      case 0x88:  // NEWTRUE
        return push(builder_.boolean(true));
      case 0x89:  // NEWFALSE
        return push(builder_.boolean(false));
      case 'J':  // BININT
        return push(builder_.integer(reader_.signed_number(4)));
      case 'K':  // BININT1
        return push(builder_.integer(static_cast<int64_t>(reader_.number(1))));
      case 'M':  // BININT2
        return push(builder_.integer(static_cast<int64_t>(reader_.number(2))));
      case 'I':  // INT
      case 'L':  // LONG
        return push(int_literal());
      case 0x8a:  // LONG1
        return push(long_value(reader_.counted(1)));
      case 0x8b:  // LONG4
        return push(long_value(reader_.counted(4)));
      case 'G':  // BINFLOAT
        return push(builder_.real(reader_.big_endian_double()));
      case 'F':  // FLOAT
        return push(builder_.real(literal(double_from_text)));
      case 'S':  // STRING
        return push_text(Kind::kString, literal(string_from_text));
      case 'V':  // UNICODE
        return push_text(Kind::kString, literal(unicode_from_text));
      case 'U':   // SHORT_BINSTRING
      case 0x8c:  // SHORT_BINUNICODE
        return push_text(Kind::kString, reader_.counted(1));
      case 'T':  // BINSTRING
      case 'X':  // BINUNICODE
        return push_text(Kind::kString, reader_.counted(4));
      case 0x8d:  // BINUNICODE8
        return push_text(Kind::kString, reader_.counted(8));
      case 'C':  // SHORT_BINBYTES
        return push_text(Kind::kBytes, reader_.counted(1));
      case 'B':  // BINBYTES
        return push_text(Kind::kBytes, reader_.counted(4));
      case 0x8e:  // BINBYTES8
      case 0x96:  // BYTEARRAY8
        return push_text(Kind::kBytes, reader_.counted(8));
      default:
        return false;
    }
  }

  bool step_container() {
    switch (opcode_) {
      case ']':  // EMPTY_LIST
        return push(builder_.container(Kind::kList));
      case '}':  // EMPTY_DICT
        return push(builder_.container(Kind::kDict));
      case ')':  // EMPTY_TUPLE
        return push(builder_.container(Kind::kTuple));
      case 0x8f:  // EMPTY_SET
        return push(builder_.container(Kind::kSet));
      case 'l':  // LIST
        return push(builder_.container(Kind::kList, pop_to_mark()));
      case 't':  // TUPLE
        return push(builder_.container(Kind::kTuple, pop_to_mark()));
      case 0x85:  // TUPLE1
      case 0x86:  // TUPLE2
      case 0x87:  // TUPLE3
        return push(
            builder_.container(Kind::kTuple, pop_items(opcode_ - 0x84)));
      case 0x91:  // FROZENSET
        return push(builder_.container(Kind::kSet, pop_to_mark()));
      case 'd':  // DICT
        return push(builder_.container(Kind::kDict, in_pairs(pop_to_mark())));
      case 'a':  // APPEND
        return add_items(Kind::kList, pop_items(1));
      case 'e':  // APPENDS
        return add_items(Kind::kList, pop_to_mark());
      case 0x90:  // ADDITEMS
        return add_items(Kind::kSet, pop_to_mark());
      case 's':  // SETITEM
        return add_items(Kind::kDict, pop_items(2));
      case 'u':  // SETITEMS
        return add_items(Kind::kDict, in_pairs(pop_to_mark()));
      default:
        return false;
    }
  }

  bool step_memo() {
    switch (opcode_) {
      case 'p':  // PUT
        return put(static_cast<uint64_t>(literal(int_from_text)));
      case 'q':  // BINPUT
        return put(reader_.number(1));
      case 'r':  // LONG_BINPUT
        return put(reader_.number(4));
      case 0x94:  // MEMOIZE
        return put(memo_.size());
      case 'g':  // GET
        return get(static_cast<uint64_t>(literal(int_from_text)));
      case 'h':  // BINGET
        return get(reader_.number(1));
      case 'j':  // LONG_BINGET
        return get(reader_.number(4));
      default:
        return false;
    }
  }

  bool step_call() {
    switch (opcode_) {
      case 'c': {  // GLOBAL
        const std::string_view module = reader_.line();
        return push(global(module, reader_.line()));
      }
      case 0x93: {  // STACK_GLOBAL
        const PickleNode name = pop(), module = pop();
        if (name->kind != Kind::kString || module->kind != Kind::kString)
          builder_.fail("a name is no string");
        return push(global(module->text, name->text));
      }
      case 'P':  // PERSID
        return push_persistent(
            builder_.text(Kind::kString, std::string(reader_.line())));
      case 'Q':  // BINPERSID
        return push_persistent(pop());
      case 'R':     // REDUCE
      case 0x81: {  // NEWOBJ
        const PickleNode arguments = pop();
        return push(call(pop(), arguments));
      }
      case 0x92: {  // NEWOBJ_EX
        const PickleNode named = pop(), arguments = pop();
        if (!options_.opaque_objects &&
            (named->kind != Kind::kDict || !named->items.empty()))
          builder_.fail("an object is made with arguments by name");
        return push(call(pop(), arguments));
      }
      case 'i': {  // INST
        const std::string_view module = reader_.line();
        const PickleNode type = global(module, reader_.line());
        return push(
            call(type, builder_.container(Kind::kTuple, pop_to_mark())));
      }
      case 'o': {  // OBJ
        std::vector<PicklePointer> items = pop_to_mark();
        if (items.empty()) builder_.fail("an object has no class");
        const auto type = std::const_pointer_cast<PickleValue>(items[0]);
        items.erase(items.begin());
        return push(
            call(type, builder_.container(Kind::kTuple, std::move(items))));
      }
      case 'b':  // BUILD
        return build();
      case 0x82:  // EXT1
      case 0x83:  // EXT2
      case 0x84:  // EXT4
        builder_.fail("it names an object by an extension code");
      case 0x97:  // NEXT_BUFFER
      case 0x98:  // READONLY_BUFFER
        builder_.fail("it refers to a buffer outside the pickle");
      default:
        return false;
    }
  }

  void need(size_t count) const {
    const size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() - floor < count)
      builder_.fail(fmt::format(
          "the stack does not hold what opcode 0x{:02x} needs", opcode_));
  }

  const PickleNode& top() const {
    need(1);
    return stack_.back();
  }

  PickleNode pop() {
    need(1);
    PickleNode value = std::move(stack_.back());
    stack_.pop_back();
    return value;
  }

  std::vector<PicklePointer> pop_from(size_t first) {
    std::vector<PicklePointer> items(
        std::make_move_iterator(stack_.begin() + first),
        std::make_move_iterator(stack_.end()));
    stack_.resize(first);
    return items;
  }

  std::vector<PicklePointer> pop_items(size_t count) {
    need(count);
    return pop_from(stack_.size() - count);
  }

  std::vector<PicklePointer> pop_to_mark() {
    if (marks_.empty())
      builder_.fail(
          fmt::format("opcode 0x{:02x} finds no mark on the stack", opcode_));
    const size_t first = marks_.back();
    marks_.pop_back();
    return pop_from(first);
  }

  std::vector<PicklePointer> in_pairs(std::vector<PicklePointer> items) const {
    if (items.size() % 2 != 0) builder_.fail("a dict has a key with no value");
    return items;
  }

  // Those that push return true, as the step functions do.
  bool push(PickleNode value) {
    stack_.push_back(std::move(value));
    return true;
  }

  bool push_text(Kind kind, std::string_view text) {
    return push(builder_.text(kind, std::string(text)));
  }

  template <class T>
  T literal(std::optional<T> (*parse)(std::string_view)) {
    const std::string_view text = reader_.line();
    const auto value = parse(text);
    if (!value)
      builder_.fail(fmt::format("the literal of opcode '{}' is broken",
                                static_cast<char>(opcode_)));
    return *value;
  }

  PickleNode int_literal() {
    std::string_view text = reader_.line();
    if (opcode_ == 'I' && (text == "00" || text == "01"))
      return builder_.boolean(text == "01");
    if (opcode_ == 'L' && text.ends_with('L')) text.remove_suffix(1);
    if (const auto value = int_from_text(text)) return builder_.integer(*value);
    if (text.find_first_not_of("-0123456789") != std::string_view::npos)
      builder_.fail("an integer literal is broken");
    return builder_.text(Kind::kString, std::string(text));
  }

  PickleNode long_value(std::string_view bytes) {
    if (const auto value = int_from_bytes(bytes))
      return builder_.integer(*value);
    return builder_.text(Kind::kBytes, std::string(bytes));
  }

  bool add_items(Kind kind, std::vector<PicklePointer> items) {
    PickleValue& target = *top();
    if (target.kind == kind) {
      builder_.charge(16 * items.size());
      std::move(items.begin(), items.end(), std::back_inserter(target.items));
    } else if (target.kind != Kind::kObject || !options_.opaque_objects) {
      builder_.fail(fmt::format("items are added to {}, expected {}",
                                describe(target.kind), describe(kind)));
    }
    return true;
  }

  bool put(uint64_t index) {
    const PickleNode& value = top();
    builder_.charge(64);
    memo_.insert_or_assign(index, value);
    return true;
  }

  bool get(uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end())
      builder_.fail(fmt::format("the memo holds no value {}", index));
    return push(found->second);
  }

  PickleNode global(std::string_view module, std::string_view name) {
    if (module.size() + name.size() > kMaxNameBytes)
      builder_.fail(fmt::format("a name has {} bytes, expected at most {}",
                                module.size() + name.size(), kMaxNameBytes));
    const auto odd = [](char c) {
      return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f;
    };
    if (std::any_of(module.begin(), module.end(), odd) ||
        std::any_of(name.begin(), name.end(), odd))
      builder_.fail("a name has blanks or control characters");
    if (module == "__builtin__") module = "builtins";  // Python 2
    return builder_.text(Kind::kGlobal, fmt::format("{}.{}", module, name));
  }

  // torch.save's older form keeps a class with its source: ('module', class,
  // file, source).
  bool push_persistent(const PickleNode& id) {
    if (id->kind == Kind::kTuple && id->items.size() > 1 &&
        id->items[0]->kind == Kind::kString && id->items[0]->text == "module" &&
        id->items[1]->kind == Kind::kGlobal)
      return push(std::const_pointer_cast<PickleValue>(id->items[1]));
    return push(builder_.container(Kind::kPersistent, {id}));
  }

  PickleNode call(const PickleNode& function, const PickleNode& arguments) {
    return call_as_data(builder_, function, arguments, options_.opaque_objects);
  }

  // An object keeps its state; that of tensors and dicts (attributes such as
  // a state_dict's _metadata) is no part of their value.
  bool build() {
    const PickleNode state = pop();
    PickleValue& target = *top();
    if (target.kind == Kind::kObject) {
      builder_.charge(16);
      target.items.push_back(state);
    } else if (target.kind != Kind::kTensor && target.kind != Kind::kDict &&
               !options_.opaque_objects) {
      builder_.fail(fmt::format("{} is given a state", describe(target.kind)));
    }
    return true;
  }

  PickleBuilder builder_;
  PickleReader reader_;
  PickleOptions options_;
  unsigned opcode_ = 0;
  std::vector<PickleNode> stack_;
  std::vector<size_t> marks_;  // sizes of the stack
  std::unordered_map<uint64_t, PickleNode> memo_;
};

}  // namespace

const PickleValue* PickleValue::find(std::string_view key) const {
  if (kind != Kind::kDict) return nullptr;
  for (size_t i = items.size() / 2; i-- > 0;)
    if (items[2 * i]->kind == Kind::kString && items[2 * i]->text == key)
      return items[2 * i + 1].get();
  return nullptr;
}

PicklePointer read_pickle(std::string_view bytes, const std::string& where,
                          const PickleOptions& options, size_t* consumed) {
  PickleMachine machine(bytes, where, options);
  PicklePointer value = machine.run();
  if (consumed) *consumed = machine.consumed();
  return value;
}

}  // namespace lathe::io
