#include "passes/base/text.h"

#include <doctest/doctest.h>

#include <cmath>

#include "passes/base/error.h"

namespace lathe {
namespace {

TEST_CASE("split and join are inverses") {
  for (const std::string text : {"", "a", "a,b", ",a,,b,"})
    CHECK(join(split(text, ','), ",") == text);
  CHECK(split(",a,", ',') == std::vector<std::string>{"", "a", ""});
  CHECK(split("", ',') == std::vector<std::string>{""});
}

TEST_CASE("trim takes blanks off both ends") {
  CHECK(trim(" \t a b\n") == "a b");
  CHECK(trim(" \n ") == "");
  CHECK(trim("") == "");
}

TEST_CASE("the nearest name is offered when it is near") {
  const std::vector<std::string> names{"quantize", "compress", "run", "eval"};
  CHECK(nearest_name("quantise", names) == "quantize");
  CHECK(nearest_name("qauntize", names) == "quantize");
  CHECK(nearest_name("rnu", names) == "run");
  CHECK(nearest_name("RUN", names) == "run");
  CHECK(nearest_name("distill", names) == "");
  CHECK(nearest_name("", names) == "");
  CHECK(nearest_name(std::string(100000, 'x'), names) == "");
  CHECK(did_you_mean("evla", names) == "; did you mean 'eval'?");
  CHECK(did_you_mean("distill", names) == "");
}

TEST_CASE("figures carry three digits and a unit") {
  CHECK(format_bytes(0) == "0 B");
  CHECK(format_bytes(1023) == "1023 B");
  CHECK(format_bytes(1536) == "1.5 KiB");
  CHECK(format_bytes((uint64_t{1} << 20) - 1) == "1.0 MiB");
  CHECK(format_bytes(UINT64_MAX) == "16.0 EiB");
  CHECK(format_count(999) == "999");
  CHECK(format_count(1000) == "1.00 k");
  CHECK(format_count(1234567) == "1.23 M");
  CHECK(format_count(12345) == "12.3 k");
  CHECK(format_count(999999) == "1.00 M");
  CHECK(format_latency_us(850) == "850 us");
  CHECK(format_latency_us(0.5) == "0.50 us");
  CHECK(format_latency_us(999.6) == "1.00 ms");
  CHECK(format_latency_us(12345) == "12.3 ms");
  CHECK(format_latency_us(2.1e6) == "2.10 s");
  CHECK(format_latency_us(-850) == "-850 us");
  CHECK(format_latency_us(NAN) == "n/a");
}

TEST_CASE("an error joins where, what and hint") {
  const Error error(ErrorKind::kInput, "a.onnx", "found 3", "try 4");
  CHECK(std::string(error.what()) == "a.onnx: found 3 (try 4)");
  CHECK(exit_code(ErrorKind::kUsage) == 2);
  CHECK(exit_code(ErrorKind::kInput) == 2);
  CHECK(exit_code(ErrorKind::kUnsupported) == 2);
  CHECK(exit_code(ErrorKind::kIo) == 1);
  CHECK(exit_code(ErrorKind::kInternal) == 1);
  CHECK(exit_code(ErrorKind::kInterrupted) == 130);
}

}  // namespace
}  // namespace lathe
