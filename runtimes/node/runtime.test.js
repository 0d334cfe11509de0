'use strict';

/**
 * Tests of the Node.js runtime: `node --test` in this folder, nothing to install. Each behaviour is tested over every
 * transport. Expectations are those of Lambda's own runtime client and of
 * https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html, unless marked "inferred".
 */

const assert = require('assert');
const { test } = require('node:test');
const { parseHandlerName } = require('./runtime_handler.js');
const { TRANSPORTS, withRuntime } = require('./test_harness.js');

const NODEJS24 = { AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x' };
const MAJOR = Number.parseInt(process.versions.node, 10);

/** A test over every transport; `files` may be the text of index.js. */
function check(name, files, body, options = {}) {
  const all = typeof files === 'string' ? { 'index.js': files } : files;
  for (const transport of Object.keys(TRANSPORTS)) {
    test(`${name} (${transport})`, { concurrency: true }, () =>
      withRuntime(transport, all, options.handler ?? 'index.handler', options.env, (runtime) => body(runtime, transport)),
    );
  }
}

/** A function that answers `expected` to `event`. */
function answers(name, files, expected, options = {}) {
  const body = async (runtime) => {
    assert.deepStrictEqual(await runtime.ready(), {});
    assert.deepStrictEqual(await runtime.invoke(options.event ?? { a: 1 }, options.header), { result: expected });
  };
  check(name, files, body, options);
}

/** A function that cannot be loaded. */
function failsToLoad(name, files, expected, options = {}) {
  const body = async (runtime) => {
    const { error } = await runtime.ready();
    assert.strictEqual(error.errorType, expected.errorType);
    assert.match(error.errorMessage, expected.errorMessage);
    assert.ok(Array.isArray(error.trace));
    assert.strictEqual(await runtime.exit(), expected.status ?? 129);
    assert.match(runtime.log, expected.log ?? /^\S+Z\tundefined\tERROR\tUncaught Exception \t\{"errorType":/m);
  };
  check(name, files, body, options);
}

/** A function whose invocation fails, and that serves the next one. */
function failsToAnswer(name, files, expected, options = {}) {
  const body = async (runtime) => {
    assert.deepStrictEqual(await runtime.ready(), {});
    for (const id of ['req-1', 'req-2']) {
      const { error, ends } = await runtime.invoke({ a: 1 });
      assert.strictEqual(error.errorType, expected.errorType);
      assert.strictEqual(error.errorMessage, expected.errorMessage);
      assert.ok(!ends);
      assert.ok(expected.trace === undefined || expected.trace.test(error.trace.join('\n')), error.trace.join('\n'));
      const line = await runtime.logged((frame) => frame.text.includes(`\t${id}\tERROR\tInvoke Error \t{`));
      assert.strictEqual(line.level, 5);
    }
  };
  check(name, files, body, options);
}

answers('an asynchronous handler', 'exports.handler = async (event) => ({ got: event, text: "ä" });', {
  got: { a: 1 },
  text: 'ä',
});
answers('a handler with a callback', 'exports.handler = (e, c, callback) => { callback(null, [e.a]); };', [1]);
answers('a handler that returns a promise', 'exports.handler = (e) => Promise.resolve(e.a);', 1);
answers('a handler that does nothing', 'exports.handler = () => 5;', null);
answers('undefined', 'exports.handler = async () => undefined;', null);
answers('a function as result (inferred)', 'exports.handler = async () => () => 1;', null);
answers('context.succeed', 'exports.handler = (e, context) => { context.succeed(7); };', 7);
answers('context.done', 'exports.handler = (e, context) => { context.done(null, 8); };', 8);
answers('only the first answer counts', 'exports.handler = (e, c, cb) => { c.succeed(1); cb(null, 2); c.fail("x"); };', 1);

answers(
  'the callback waits until nothing is left to do',
  'let log = []; exports.handler = (e, c, cb) => { setTimeout(() => log.push("late"), 50); cb(null, log); };',
  ['late'],
);
answers(
  'the callback does not wait if told so',
  `let log = []; exports.handler = (e, c, cb) => {
     c.callbackWaitsForEmptyEventLoop = false; setTimeout(() => log.push("late"), 50); cb(null, log); };`,
  [],
);
answers(
  'an asynchronous handler never waits',
  'let log = []; exports.handler = async () => { setTimeout(() => log.push("late"), 50); return log; };',
  [],
);
answers(
  'what is left to do without a callback is done',
  'exports.handler = (e, c) => { setTimeout(() => c.succeed("timer"), 20); };',
  'timer',
);

answers(
  'the context',
  `exports.handler = async (event, context) => [context.awsRequestId, context.functionName, context.functionVersion,
     context.invokedFunctionArn, context.memoryLimitInMB, context.logGroupName, context.logStreamName, context.tenantId,
     context.identity, context.clientContext, context.getRemainingTimeInMillis() > 1000, process.env._X_AMZN_TRACE_ID,
     context.callbackWaitsForEmptyEventLoop, typeof context.done];`,
  ['req-1', 'fn', '$LATEST', 'arn:aws:lambda:us-east-1:000000000000:function:fn', '128', '/aws/lambda/fn', 'stream', 'blue',
    { cognitoIdentityId: 'id' }, { custom: { k: 'ü' } }, true, 'Root=1-2-3', true, 'function'],
  { header: { tenant_id: 'blue', cognito_identity: '{"cognitoIdentityId":"id"}', client_context: '{"custom":{"k":"ü"}}' } },
);
answers(
  'the environment',
  `exports.handler = async () => [process.argv[1], require.main === module, Object.keys(process.env).filter((n) => n.startsWith("_GUST") || n === "LEFT_OVER"),
     process.env.NODE_PATH, process.cwd() === __dirname, new Date(0).getHours(), process.env.MINE];`,
  ['/var/runtime/index.mjs', false, [],
    '/opt/nodejs/node22/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task', true, 0, 'x'],
  { env: { MINE: 'x' } },
);

answers('an ES module', { 'index.mjs': 'const v = await Promise.resolve(3); export const handler = async () => v;' }, 3);
answers('a package of type module', {
  'package.json': '{"type":"module"}',
  'index.js': 'import fs from "fs"; export const handler = async () => typeof fs.readFileSync;',
}, 'function');
answers('a CommonJS file in a package of type module', {
  'package.json': '{"type":"module"}',
  'index.cjs': 'exports.handler = async () => typeof require;',
}, 'function');
answers('a folder, a file and a nested export', { 'src/api.js': 'exports.a = { b: async () => 9 };' }, 9, {
  handler: 'src/api.a.b',
});
answers('a handler in node_modules', { 'node_modules/lib/index.js': 'exports.handler = async () => "lib";' }, 'lib', {
  handler: 'lib.handler',
});
answers('a module of its own', {
  'index.js': 'const v = require("./v"); const w = require("w"); exports.handler = async () => [v, w];',
  'v.json': '1',
  'node_modules/w/index.js': 'module.exports = 2;',
}, [1, 2]);
if (MAJOR >= 24) {
  answers('TypeScript', { 'index.ts': 'export const handler = async (e: { a: number }): Promise<number> => e.a;' }, 1);
}

failsToLoad('no such module', {}, {
  errorType: 'Runtime.ImportModuleError',
  errorMessage: /^Error: Cannot find module 'index'\nRequire stack:\n- \/var\/runtime\/index.mjs$/,
});
failsToLoad('a module that is missing', 'require("nope");', {
  errorType: 'Runtime.ImportModuleError',
  errorMessage: /^Error: Cannot find module 'nope'\nRequire stack:\n- \S+\/index.js\n- \/var\/runtime\/index.mjs$/,
});
failsToLoad('a syntax error', 'exports.handler = async () => { ;', {
  errorType: 'Runtime.UserCodeSyntaxError',
  errorMessage: /^SyntaxError: /,
});
failsToLoad('a missing export', 'exports.other = 1;', {
  errorType: 'Runtime.HandlerNotFound',
  errorMessage: /^index.handler is undefined or not exported$/,
});
failsToLoad('an export that is no function', 'exports.handler = 1;', {
  errorType: 'Runtime.HandlerNotFound',
  errorMessage: /^index.handler is not a function$/,
});
failsToLoad('a name without a dot', '', { errorType: 'Runtime.MalformedHandlerName', errorMessage: /^Bad handler$/ }, {
  handler: 'index',
});
failsToLoad('a name that climbs', '', {
  errorType: 'Runtime.MalformedHandlerName',
  errorMessage: /^'\.\.\/index\.handler' is not a valid handler name\. Use absolute paths when specifying root directories/,
}, { handler: '../index.handler' });
failsToLoad('an exception', 'throw new TypeError("early");', { errorType: 'TypeError', errorMessage: /^early$/ });
failsToLoad('a rejected top-level await', { 'index.mjs': 'await Promise.reject(new RangeError("r"));' }, {
  errorType: 'RangeError',
  errorMessage: /^r$/,
});
failsToLoad(
  'a rejection while loading',
  { 'index.mjs': 'Promise.reject(new Error("r")); await new Promise((r) => setTimeout(r, 5000)); export const handler = 1;' },
  {
    errorType: 'Runtime.UnhandledPromiseRejection',
    errorMessage: /^Error: r$/,
    status: 128,
    log: /\tundefined\tERROR\tUnhandled Promise Rejection \t\{"errorType":"Runtime.UnhandledPromiseRejection"/,
  },
);

failsToAnswer('an exception', 'exports.handler = async () => { throw new TypeError("no"); };', {
  errorType: 'TypeError',
  errorMessage: 'no',
  trace: /^TypeError: no\n {4}at .*index\.js:1:/,
});
failsToAnswer('an exception of a handler that is not asynchronous', 'exports.handler = () => { throw new Error("no"); };', {
  errorType: 'Error',
  errorMessage: 'no',
});
failsToAnswer('an error given back', 'exports.handler = (e, c, cb) => cb(new Error("no"));', {
  errorType: 'Error',
  errorMessage: 'no',
});
failsToAnswer('a text given back', 'exports.handler = (e, c, cb) => cb("no");', {
  errorType: 'string',
  errorMessage: 'no',
});
failsToAnswer('context.fail without a reason', 'exports.handler = (e, c) => c.fail();', {
  errorType: 'string',
  errorMessage: 'handled',
});
failsToAnswer(
  'an error of one of its own classes, with fields',
  'class Mine extends Error { constructor() { super("m"); this.name = "Mine"; this.self = this; } } exports.handler = async () => { throw new Mine(); };',
  { errorType: 'Mine', errorMessage: 'm' },
);
failsToAnswer('an object without a text', 'exports.handler = async () => { throw Object.create(null); };', {
  errorType: 'handled',
  errorMessage:
    'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack',
});
for (const [name, value] of [['a BigInt', '1n'], ['a circle', '(() => { const a = {}; a.a = a; return a; })()']]) {
  failsToAnswer(`${name} as result`, `exports.handler = async () => (${value});`, {
    errorType: 'Error',
    errorMessage: 'Unable to stringify response body',
  });
}
failsToAnswer('a promise that is never settled', 'exports.handler = async () => { await new Promise(() => {}); };', {
  errorType: 'Runtime.NodeJsExit',
  errorMessage:
    'The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise that was' +
    ' never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes',
});

for (const [name, code, kind, status] of [
  ['an uncaught exception', 'setTimeout(() => { throw new TypeError("x"); }, 5)', 'TypeError', 129],
  ['an unhandled rejection', 'Promise.reject(new Error("x"))', 'Runtime.UnhandledPromiseRejection', 128],
]) {
  check(name, `exports.handler = async () => { ${code}; await new Promise((r) => setTimeout(r, 5000)); };`, async (runtime, transport) => {
    assert.deepStrictEqual(await runtime.ready(), {});
    const { error, ends } = await runtime.invoke({});
    assert.strictEqual(error.errorType, kind);
    assert.ok(transport === 'http' || ends);
    assert.strictEqual(await runtime.exit(), status);
    assert.match(runtime.log, /\treq-1\tERROR\tUn(caught Exception|handled Promise Rejection) \t\{"errorType":/);
  });
}

check('the console in text format', 'console.log("loading"); exports.handler = async () => { console.warn("a %s\\nb", { c: 1 }); };', async (runtime) => {
  assert.deepStrictEqual(await runtime.ready(), {});
  await runtime.invoke({});
  await runtime.invoke({});
  await runtime.logged((frame) => frame.text.includes('req-2'));
  assert.match(runtime.logs[0].text, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\tundefined\tINFO\tloading\n$/);
  assert.match(runtime.logs[1].text, /Z\treq-1\tWARN\ta \{ c: 1 \}\nb\n$/);
  assert.match(runtime.logs[2].text, /Z\treq-2\tWARN\t/);
  assert.deepStrictEqual(runtime.logs.map((frame) => frame.level), [3, 4, 4]);
  assert.ok(Math.abs(Number(runtime.logs[0].us / 1000n) - Date.now()) < 60_000);
}, { env: {} });

check(
  'the console in JSON format',
  `exports.handler = async () => { console.info({ k: [1] }); console.error("failed:", new TypeError("t")); console.error(new Error("e"));
     const c = {}; c.c = c; console.warn(c); console.debug("hidden"); console.fatal("f"); };`,
  async (runtime) => {
    assert.deepStrictEqual(await runtime.ready(), {});
    await runtime.invoke({}, { tenant_id: 'blue' });
    await runtime.invoke({});
    await runtime.logged((frame) => frame.text.includes('FATAL') && frame.text.includes('req-2'));
    const [object, withError, error, circle, fatal] = runtime.logs.map((frame) => JSON.parse(frame.text));
    assert.deepStrictEqual(Object.keys(object), ['timestamp', 'level', 'requestId', 'tenantId', 'message']);
    assert.deepStrictEqual([object.level, object.requestId, object.message], ['INFO', 'req-1', { k: [1] }]);
    assert.deepStrictEqual([withError.errorType, withError.errorMessage, withError.stackTrace[0]], ['TypeError', 't', 'TypeError: t']);
    assert.match(withError.message, /^failed: TypeError: t\n/);
    assert.deepStrictEqual([error.message.errorType, error.message.errorMessage], ['Error', 'e']);
    assert.match(circle.message, /\[Circular \*1\]/);
    assert.strictEqual(fatal.level, 'FATAL');
  },
  { env: { AWS_LAMBDA_LOG_FORMAT: 'JSON', AWS_LAMBDA_LOG_LEVEL: 'INFO' } },
);

check('standard output is the function\'s own', 'exports.handler = async () => { process.stdout.write("raw\\n"); };', async (runtime) => {
  assert.deepStrictEqual(await runtime.ready(), {});
  await runtime.invoke({});
  await runtime.close();
  assert.strictEqual(runtime.output, 'raw\n');
  assert.strictEqual(runtime.log, '');
});

check('large events and results', 'exports.handler = async (event) => event + event[0];', async (runtime) => {
  assert.deepStrictEqual(await runtime.ready(), {});
  const text = 'ä'.repeat(2_900_000);
  const { result } = await runtime.invoke(text.length > 0 ? JSON.stringify(text) : '');
  assert.strictEqual(result.length, text.length + 1);
});

for (const model of ['callback', 'promise']) {
  const env = model === 'promise' ? NODEJS24 : {};
  const streaming = (name, code, body) => check(`${name} (${model})`, `exports.handler = awslambda.streamifyResponse(${code});`, async (runtime, transport) => {
    assert.deepStrictEqual(await runtime.ready(), {});
    await body(runtime, transport);
  }, { env });

  streaming(
    'a streamed response',
    `async (event, stream, context) => { stream.setContentType("text/plain"); stream.write("ä"); stream.write({ j: 1 });
       stream.write(new Uint8Array([33])); await new Promise((r) => setTimeout(r, 10)); stream.end(context.awsRequestId); }`,
    async (runtime) => {
      for (const id of ['req-1', 'req-2']) {
        const answer = await runtime.invoke({});
        assert.deepStrictEqual([answer.contentType, answer.body.toString(), answer.error], ['text/plain', `ä{"j":1}!${id}`, undefined]);
      }
    },
  );
  streaming(
    'status and headers of a streamed response',
    `async (event, stream) => { stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201 }); stream.write("b"); stream.end(); }`,
    async (runtime) => {
      const answer = await runtime.invoke({});
      assert.strictEqual(answer.contentType, 'application/vnd.awslambda.http-integration-response');
      assert.strictEqual(answer.body.toString(), `{"statusCode":201}${'\0'.repeat(8)}b`);
    },
  );
  streaming(
    'a stream larger than a frame',
    `async (event, stream) => { await require("stream/promises").pipeline(require("stream").Readable.from([Buffer.alloc(9_000_001, 1), Buffer.alloc(5)]), stream); }`,
    async (runtime, transport) => {
      const answer = await runtime.invoke({});
      assert.deepStrictEqual([answer.contentType, answer.body.length, answer.error], ['application/octet-stream', 9_000_006, undefined]);
      assert.ok(transport === 'http' || answer.chunks === 10, answer.chunks);
    },
  );
  streaming('an error in mid-stream', 'async (event, stream) => { stream.write("a"); await 1; throw new RangeError("m"); }', async (runtime) => {
    for (let number = 0; number < 2; number += 1) {
      const answer = await runtime.invoke({});
      assert.deepStrictEqual([answer.body.toString(), answer.error.errorType, answer.error.errorMessage], ['a', 'RangeError', 'm']);
    }
  });
  streaming('an error before the stream', 'async () => { throw new RangeError("m"); }', async (runtime) => {
    const { error, contentType } = await runtime.invoke({});
    assert.deepStrictEqual([error.errorType, contentType], ['RangeError', undefined]);
  });
  streaming('a stream that is never ended', 'async (event, stream) => { stream.write("a"); }', async (runtime) => {
    const { error } = await runtime.invoke({});
    assert.strictEqual(error.errorMessage, 'Response stream is not finished.');
  });
  streaming('a streaming handler that is not asynchronous', '(event, stream) => { stream.end("a"); }', async (runtime) => {
    const { error } = await runtime.invoke({});
    assert.strictEqual(error?.errorMessage, 'Streaming does not support non-async handlers.');
  });
}

answers('nodejs24.x: promises', 'exports.handler = async (e, context) => [e.a, typeof context.done, "callbackWaitsForEmptyEventLoop" in context];', [1, 'undefined', false], { env: NODEJS24 });
answers('nodejs24.x: a plain result', 'exports.handler = (e) => e.a;', 1, { env: NODEJS24 });
failsToAnswer('nodejs24.x: an exception', 'exports.handler = () => { throw new Error("no"); };', { errorType: 'Error', errorMessage: 'no' }, { env: NODEJS24 });
failsToLoad('nodejs24.x: a handler with a callback', 'exports.handler = (e, c, cb) => cb();', {
  errorType: 'Runtime.CallbackHandlerDeprecated',
  errorMessage: /^ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24\./,
}, { env: NODEJS24 });

test('handler names come apart', () => {
  assert.deepStrictEqual(parseHandlerName('index.handler'), { folder: '', moduleName: 'index', exportPath: 'handler' });
  assert.deepStrictEqual(parseHandlerName('./a/b/c.d.e'), { folder: './a/b/', moduleName: 'c', exportPath: 'd.e' });
  assert.deepStrictEqual(parseHandlerName('/opt/x.h'), { folder: '/opt/', moduleName: 'x', exportPath: 'h' });
});
