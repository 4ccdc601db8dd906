import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { Extra } from "../src/extra.js";

suite("the members of extra_json", () => {
  for (const [name, joins, pieces, want] of [
    ["of none", true, [], ""],
    ["of empty pieces", true, ["", "{}", ""], "{}"],
    ["of one piece stay as they are written", true, ['{ "a" : 1.0, "a": [1 , 2] }'], '{ "a" : 1.0, "a": [1 , 2] }'],
    ["keep the order in which they came", true, ['{"b":1}', '{"a":2,"1":3}'], '{"b":1,"a":2,"1":3}'],
    ["keep their digits", true, ['{"a":12345678901234567890}', '{"b":1e999}'], '{"a":12345678901234567890,"b":1e999}'],
    ["join strings", true, ['{"a":"x"}', '{"a":"y"}', '{"a":"z"}'], '{"a":"xyz"}'],
    ["join an empty string", true, ['{"a":""}', '{"a":"y"}', '{"a":""}'], '{"a":"y"}'],
    ["join halves of a character", true, ['{"a":"\\ud83d"}', '{"a":"\\ude00"}'], '{"a":"\\ud83d\\ude00"}'],
    ["join strings with quotes and backslashes", true, ['{"a":"\\"\\\\"}', '{"a":"\\\\\\"}"}'], '{"a":"\\"\\\\\\\\\\"}"}'],
    ["join no string to a number", true, ['{"a":1}', '{"a":"y"}'], '{"a":"y"}'],
    ["join no number to a string", true, ['{"a":"x"}', '{"a":1}'], '{"a":1}'],
    ["are not unsaid by null", true, ['{"a":"x","b":[1]}', '{"a":null,"b":null}', '{"a":"y"}'], '{"a":"xy","b":[1]}'],
    ["join no types, which are said whole", true, ['{"type":"mcp"}', '{"type":"mcp"}'], '{"type":"mcp"}'],
    ["join a string after null", true, ['{"a":null}', '{"a":"x"}', '{"a":"y"}'], '{"a":"xy"}'],
    ["append lists", true, ['{"a":[1,{"b":"}"}]}', '{"a":[2]}', '{"a":[]}'], '{"a":[1,{"b":"}"},2]}'],
    ["merge objects", true, ['{"a":{"b":"x","c":1}}', '{"a":{"b":"y","d":[1]}}', '{"a":{"c":2,"d":[2]}}'], '{"a":{"b":"xy","c":2,"d":[1,2]}}'],
    ["take the last of other values", true, ['{"a":1,"b":true}', '{"a":2,"b":false}'], '{"a":2,"b":false}'],
    ["take the last list where they are not parts of a whole", false, ['{"a":[1]}', '{"a":[2]}'], '{"a":[2]}'],
    ["keep what is there when nothing is said", false, ['{"a":"x","b":[1]}', '{"a":"","b":null,"object":""}'], '{"a":"x","b":[1]}'],
    ["merge items by index and type", true, ['{"a":[{"index":0,"type":"t","text":"x"}]}', '{"a":[{"index":1,"text":"z"},{"index":0,"type":"t","text":"y"}]}'], '{"a":[{"index":0,"type":"t","text":"xy"},{"index":1,"text":"z"}]}'],
    ["merge no deeper than eight levels", true, ['{"a":[[[[[[[[[[1]]]]]]]]]]}', '{"a":[[[[[[[[[[2]]]]]]]]]]}'], '{"a":[[[[[[[[[[1]]]]]]]]],[[[[[[[[[2]]]]]]]]]]}'],
    ["take the last string where they are not parts of a text", false, ['{"a":"x"}', '{"a":"y"}'], '{"a":"y"}'],
    ["have names with escapes", true, ['{"\\u0061\\"":"x"}', '{"a\\"":"y"}'], '{"a\\"":"xy"}'],
    ["have white space around", true, ['\n{ "a" :\t"x" , "b" : { "c" : [ ] } }\n', '{"a":"y"}'], '{"a":"xy","b":{ "c" : [ ] }}'],
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

  test("joins 20,000 strings in one pass", () => {
    const extra = new Extra(true);
    for (let i = 0; i < 20_000; i++) {
      extra.add('{"reasoning_content":"step "}');
    }
    assert.equal((JSON.parse(extra.toString()) as { reasoning_content: string }).reasoning_content.length, 100_000);
  });
});
