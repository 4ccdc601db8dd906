import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { Extra } from "../src/extra.js";

suite("the fields of extra_json", () => {
  for (const [name, joins, pieces, want] of [
    ["are absent in no chunks", true, [], ""],
    ["are empty in empty chunks", true, ["", "{}", ""], "{}"],
    ["of a single chunk stay unchanged", true, ['{ "a" : 1.0, "a": [1 , 2] }'], '{ "a" : 1.0, "a": [1 , 2] }'],
    ["keep their order", true, ['{"b":1}', '{"a":2,"1":3}'], '{"b":1,"a":2,"1":3}'],
    ["keep their digits", true, ['{"a":12345678901234567890}', '{"b":1e999}'], '{"a":12345678901234567890,"b":1e999}'],
    ["join strings", true, ['{"a":"x"}', '{"a":"y"}', '{"a":"z"}'], '{"a":"xyz"}'],
    ["join an empty string", true, ['{"a":""}', '{"a":"y"}', '{"a":""}'], '{"a":"y"}'],
    ["join the halves of a surrogate pair", true, ['{"a":"\\ud83d"}', '{"a":"\\ude00"}'], '{"a":"\\ud83d\\ude00"}'],
    ["join strings with quotes and backslashes", true, ['{"a":"\\"\\\\"}', '{"a":"\\\\\\"}"}'], '{"a":"\\"\\\\\\\\\\"}"}'],
    ["replace a number with a string", true, ['{"a":1}', '{"a":"y"}'], '{"a":"y"}'],
    ["replace a string with a number", true, ['{"a":"x"}', '{"a":1}'], '{"a":1}'],
    ["are not removed by null", true, ['{"a":"x","b":[1]}', '{"a":null,"b":null}', '{"a":"y"}'], '{"a":"xy","b":[1]}'],
    ["do not join types", true, ['{"type":"mcp"}', '{"type":"mcp"}'], '{"type":"mcp"}'],
    ["join a string after null", true, ['{"a":null}', '{"a":"x"}', '{"a":"y"}'], '{"a":"xy"}'],
    ["append lists", true, ['{"a":[1,{"b":"}"}]}', '{"a":[2]}', '{"a":[]}'], '{"a":[1,{"b":"}"},2]}'],
    ["merge objects", true, ['{"a":{"b":"x","c":1}}', '{"a":{"b":"y","d":[1]}}', '{"a":{"c":2,"d":[2]}}'], '{"a":{"b":"xy","c":2,"d":[1,2]}}'],
    ["take the last of other values", true, ['{"a":1,"b":true}', '{"a":2,"b":false}'], '{"a":2,"b":false}'],
    ["take the last list of complete values", false, ['{"a":[1]}', '{"a":[2]}'], '{"a":[2]}'],
    ["are not replaced by empty values", false, ['{"a":"x","b":[1]}', '{"a":"","b":null,"object":""}'], '{"a":"x","b":[1]}'],
    ["merge items by index and type", true, ['{"a":[{"index":0,"type":"t","text":"x"}]}', '{"a":[{"index":1,"text":"z"},{"index":0,"type":"t","text":"y"}]}'], '{"a":[{"index":0,"type":"t","text":"xy"},{"index":1,"text":"z"}]}'],
    ["merge up to eight levels deep", true, ['{"a":[[[[[[[[[[1]]]]]]]]]]}', '{"a":[[[[[[[[[[2]]]]]]]]]]}'], '{"a":[[[[[[[[[[1]]]]]]]]],[[[[[[[[[2]]]]]]]]]]}'],
    ["take the last string of complete values", false, ['{"a":"x"}', '{"a":"y"}'], '{"a":"y"}'],
    ["may have escaped names", true, ['{"\\u0061\\"":"x"}', '{"a\\"":"y"}'], '{"a\\"":"xy"}'],
    ["may be surrounded by white space", true, ['\n{ "a" :\t"x" , "b" : { "c" : [ ] } }\n', '{"a":"y"}'], '{"a":"xy","b":{ "c" : [ ] }}'],
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
