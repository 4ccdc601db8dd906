import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { Extra } from "../src/extra.js";

suite("Extra merges extra_json", () => {
  for (const [name, joins, pieces, want] of [
    ["without pieces", true, [], ""],
    ["of empty pieces", true, ["", "{}", ""], "{}"],
    ["of one piece, which stays unchanged", true, ['{ "a" : 1.0, "a": [1 , 2] }'], '{ "a" : 1.0, "a": [1 , 2] }'],
    ["in order of arrival", true, ['{"b":1}', '{"a":2,"1":3}'], '{"b":1,"a":2,"1":3}'],
    ["with all digits of numbers", true, ['{"a":12345678901234567890}', '{"b":1e999}'], '{"a":12345678901234567890,"b":1e999}'],
    ["by joining strings", true, ['{"a":"x"}', '{"a":"y"}', '{"a":"z"}'], '{"a":"xyz"}'],
    ["by joining empty strings", true, ['{"a":""}', '{"a":"y"}', '{"a":""}'], '{"a":"y"}'],
    ["by joining the halves of a surrogate pair", true, ['{"a":"\\ud83d"}', '{"a":"\\ude00"}'], '{"a":"\\ud83d\\ude00"}'],
    ["by joining strings with quotes and backslashes", true, ['{"a":"\\"\\\\"}', '{"a":"\\\\\\"}"}'], '{"a":"\\"\\\\\\\\\\"}"}'],
    ["without joining a string to a number", true, ['{"a":1}', '{"a":"y"}'], '{"a":"y"}'],
    ["without joining a number to a string", true, ['{"a":"x"}', '{"a":1}'], '{"a":1}'],
    ["and ignores null after another value", true, ['{"a":"x","b":[1]}', '{"a":null,"b":null}', '{"a":"y"}'], '{"a":"xy","b":[1]}'],
    ["without joining types, which are complete in each piece", true, ['{"type":"mcp"}', '{"type":"mcp"}'], '{"type":"mcp"}'],
    ["by joining strings after null", true, ['{"a":null}', '{"a":"x"}', '{"a":"y"}'], '{"a":"xy"}'],
    ["by appending arrays", true, ['{"a":[1,{"b":"}"}]}', '{"a":[2]}', '{"a":[]}'], '{"a":[1,{"b":"}"},2]}'],
    ["by merging objects", true, ['{"a":{"b":"x","c":1}}', '{"a":{"b":"y","d":[1]}}', '{"a":{"c":2,"d":[2]}}'], '{"a":{"b":"xy","c":2,"d":[1,2]}}'],
    ["with the last of other values", true, ['{"a":1,"b":true}', '{"a":2,"b":false}'], '{"a":2,"b":false}'],
    ["with the last array if arrays are not joined", false, ['{"a":[1]}', '{"a":[2]}'], '{"a":[2]}'],
    ["and ignores empty values if strings are not joined", false, ['{"a":"x","b":[1]}', '{"a":"","b":null,"object":""}'], '{"a":"x","b":[1]}'],
    ["by merging array items of the same index and type", true, ['{"a":[{"index":0,"type":"t","text":"x"}]}', '{"a":[{"index":1,"text":"z"},{"index":0,"type":"t","text":"y"}]}'], '{"a":[{"index":0,"type":"t","text":"xy"},{"index":1,"text":"z"}]}'],
    ["up to eight levels deep", true, ['{"a":[[[[[[[[[[1]]]]]]]]]]}', '{"a":[[[[[[[[[[2]]]]]]]]]]}'], '{"a":[[[[[[[[[[1]]]]]]]]],[[[[[[[[[2]]]]]]]]]]}'],
    ["with the last string if strings are not joined", false, ['{"a":"x"}', '{"a":"y"}'], '{"a":"y"}'],
    ["under names with escapes", true, ['{"\\u0061\\"":"x"}', '{"a\\"":"y"}'], '{"a\\"":"xy"}'],
    ["with surrounding white space", true, ['\n{ "a" :\t"x" , "b" : { "c" : [ ] } }\n', '{"a":"y"}'], '{"a":"xy","b":{ "c" : [ ] }}'],
  ] satisfies [string, boolean, string[], string][]) {
    test(name, () => {
      const extra = new Extra(joins);
      for (const piece of pieces) {
        extra.add(piece);
      }
      assert.equal(extra.toString(), want);
      assert.doesNotThrow(() => JSON.parse(want || "{}"));
    });
  }

  test("of 20,000 pieces in linear time", () => {
    const extra = new Extra(true);
    for (let i = 0; i < 20_000; i++) {
      extra.add('{"reasoning_content":"step "}');
    }
    assert.equal((JSON.parse(extra.toString()) as { reasoning_content: string }).reasoning_content.length, 100_000);
  });
});
