// Checks JSON against a JSON Schema and reports every error with its place.
#pragma once

#include <string>
#include <vector>

#include "passes/base/json.h"

namespace lathe {

// Checks the value at `pointer` of `text` ("" is the root). Every error is one
// line, in the order of the text:
//   "file:line:column: /pointer: message; did you mean 'x'?"
// An unknown key is reported at its own pointer, a missing one at the object's.
//
// `schema_text` uses these keywords of JSON Schema 2020-12; any other one is
// error kInternal, so that a schema never promises what is not checked: type,
// enum, const, properties, required, additionalProperties, minProperties,
// items, minItems, maxItems, uniqueItems, minimum, maximum, exclusiveMinimum,
// exclusiveMaximum, minLength, maxLength, pattern, oneOf, anyOf, allOf,
// if/then/else, $ref to "#/…", $defs, and the annotations $schema, $id, title,
// description, default, examples, $comment.
std::vector<std::string> validate_schema(const JsonText& text,
                                         const std::string& pointer,
                                         const char* schema_text);

}  // namespace lathe
