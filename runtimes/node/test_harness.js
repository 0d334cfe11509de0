'use strict';

/** Runs bootstrap.js against either transport, as gust does, for the tests beside it. */

const { spawn } = require('child_process');
const fs = require('fs');
const http = require('http');
const os = require('os');
const path = require('path');

const BOOTSTRAP = path.join(__dirname, 'bootstrap.js');
/** How long anything may take that a test waits for. */
const WAIT_MS = 20_000;

/** A queue whose reader waits. */
class Inbox {
  constructor() {
    this.items = [];
    this.readers = [];
  }

  put(item) {
    const reader = this.readers.shift();
    if (reader) {
      reader(item);
    } else {
      this.items.push(item);
    }
  }

  take() {
    if (this.items.length > 0) {
      return Promise.resolve(this.items.shift());
    }
    return within(new Promise((resolve) => this.readers.push(resolve)), 'a message');
  }
}

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come`)), WAIT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A folder with these files; removed by `remove()`. */
function packageOf(files) {
  const folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'gust-node-')));
  for (const [name, content] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), content);
  }
  return { folder, remove: () => fs.rmSync(folder, { recursive: true, force: true }) };
}

function variables(folder, handler, extra) {
  return {
    PATH: process.env.PATH,
    TZ: ':UTC',
    LAMBDA_TASK_ROOT: folder,
    _HANDLER: handler,
    AWS_LAMBDA_FUNCTION_NAME: 'fn',
    AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '128',
    AWS_LAMBDA_LOG_GROUP_NAME: '/aws/lambda/fn',
    AWS_LAMBDA_LOG_STREAM_NAME: 'stream',
    AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs22.x',
    ...extra,
  };
}

/** Splits a stream of length-prefixed frames. */
function onFrames(stream, take) {
  let data = Buffer.alloc(0);
  stream.on('data', (more) => {
    data = Buffer.concat([data, more]);
    while (data.length >= 4 && data.length >= 4 + data.readUInt32LE(0)) {
      const end = 4 + data.readUInt32LE(0);
      take(data.subarray(4, end));
      data = data.subarray(end);
    }
  });
  stream.on('error', () => {});
}

/** What both transports have in common. */
class Runtime {
  constructor(files, handler, extra, stdio) {
    this.package = packageOf(files);
    this.inbox = new Inbox();
    this.logs = [];
    this.logWaiters = [];
    this.output = '';
    this.number = 0;
    this.environment = variables(this.package.folder, handler, extra);
    const env = { ...this.startEnvironment(extra), _GUST_LOG_FD: '4' };
    this.child = spawn(process.execPath, [BOOTSTRAP], { cwd: this.package.folder, env, stdio });
    this.exited = new Promise((resolve) => this.child.on('close', (code) => resolve(code)));
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.on('data', (data) => (this.output += data));
    }
    onFrames(this.child.stdio[4], (frame) => {
      this.logs.push({ level: frame[0], us: frame.readBigUInt64LE(1), text: frame.toString('utf8', 9) });
      this.logWaiters.splice(0).forEach((wake) => wake());
    });
  }

  header(event, more) {
    this.number += 1;
    return {
      request_id: `req-${this.number}`,
      deadline_ms: Date.now() + 3000,
      invoked_function_arn: 'arn:aws:lambda:us-east-1:000000000000:function:fn',
      trace_id: 'Root=1-2-3',
      ...more,
    };
  }

  /** The first log event that fits, which may still be on its way. */
  async logged(fits) {
    for (;;) {
      const found = this.logs.find(fits);
      if (found !== undefined) {
        return found;
      }
      await within(new Promise((resolve) => this.logWaiters.push(resolve)), `a log event (there is: ${this.log})`);
    }
  }

  exit() {
    return within(this.exited, 'the exit');
  }

  /** The log's text so far; the pipe has been read to its end only after `exit`. */
  get log() {
    return this.logs.map((frame) => frame.text).join('');
  }

  async close() {
    this.child.kill('SIGKILL');
    await this.exit();
    this.package.remove();
  }
}

/** Over the private channel. */
class ChannelRuntime extends Runtime {
  constructor(files, handler, extra) {
    super(files, handler, extra, ['ignore', 'pipe', 'pipe', 'pipe', 'pipe']);
    onFrames(this.child.stdio[3], (frame) => this.inbox.put([String.fromCharCode(frame[0]), frame.subarray(1)]));
  }

  startEnvironment() {
    return { ...this.environment, _GUST_CHANNEL_FD: '3' };
  }

  send(kind, ...parts) {
    const body = Buffer.concat(parts);
    const head = Buffer.alloc(5);
    head.writeUInt32LE(1 + body.length, 0);
    head[4] = kind.charCodeAt(0);
    this.child.stdio[3].write(Buffer.concat([head, body]));
  }

  /** `{}`, or `{ error }`. */
  async ready() {
    const [kind, body] = await this.inbox.take();
    return kind === 'R' ? {} : { error: JSON.parse(body) };
  }

  /** `{ result }`, `{ error, ends }` or, of a stream, `{ contentType, chunks, error }`. */
  async invoke(event, more) {
    const header = Buffer.from(JSON.stringify(this.header(event, more)));
    const length = Buffer.alloc(4);
    length.writeUInt32LE(header.length, 0);
    this.send('I', length, header, Buffer.from(typeof event === 'string' ? event : JSON.stringify(event)));
    const [kind, body] = await this.inbox.take();
    if (kind === 'O') {
      return { result: JSON.parse(body) };
    }
    if (kind !== 'S') {
      return { error: JSON.parse(body), ends: kind === 'X' };
    }
    const chunks = [];
    for (;;) {
      const [next, chunk] = await this.inbox.take();
      if (next === 'C') {
        chunks.push(chunk);
      } else {
        const error = next === 'E' ? JSON.parse(chunk) : undefined;
        return { contentType: body.toString(), body: Buffer.concat(chunks), chunks: chunks.length, error };
      }
    }
  }
}

/** Over the channel, in a process that was started before its function was known. */
class PrebootedRuntime extends ChannelRuntime {
  startEnvironment() {
    return { _GUST_CHANNEL_FD: '3', _GUST_PREBOOTED: '1', AWS_LAMBDA_RUNTIME_API: 'kept:1', LEFT_OVER: '1' };
  }

  async ready() {
    const [kind] = await this.inbox.take();
    if (kind !== 'W') {
      throw new Error(`${kind} instead of W`);
    }
    this.send('H', Buffer.from(JSON.stringify(this.environment)));
    return super.ready();
  }
}

/** Over the HTTP Runtime API. */
class HttpRuntime extends Runtime {
  constructor(files, handler, extra) {
    super(files, handler, extra, ['ignore', 'pipe', 'pipe', 'ignore', 'pipe']);
  }

  static async start(files, handler, extra) {
    const server = http.createServer();
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const runtime = new HttpRuntime(files, handler, { ...extra, AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${server.address().port}` });
    runtime.server = server;
    runtime.asked = new Inbox();
    server.on('request', (request, response) => runtime.serve(request, response));
    return runtime;
  }

  startEnvironment() {
    return this.environment;
  }

  serve(request, response) {
    const what = request.url.replace('/2018-06-01/runtime/', '').replace(/req-\d+\//, '');
    const parts = [];
    request.on('error', () => {});
    request.on('data', (data) => parts.push(data));
    request.on('end', () => {
      const body = Buffer.concat(parts);
      if (what === 'invocation/next') {
        this.asked.put(response);
        this.inbox.put(['next']);
        return;
      }
      this.inbox.put([what, body, request.headers, request.trailers]);
      response.writeHead(202);
      response.end('{"status":"OK"}');
    });
  }

  async ready() {
    const [kind, body] = await this.inbox.take();
    return kind === 'next' ? {} : { error: JSON.parse(body) };
  }

  async invoke(event, more) {
    const response = await this.asked.take();
    const names = { request_id: 'aws-request-id', tenant_id: 'aws-tenant-id' };
    for (const [name, value] of Object.entries(this.header(event, more))) {
      const header = `Lambda-Runtime-${names[name] ?? name.replaceAll('_', '-')}`;
      response.setHeader(header, Buffer.from(String(value)).toString('latin1'));
    }
    // As bytes: together with a text, headers would be written as UTF-8.
    response.end(Buffer.from(typeof event === 'string' ? event : JSON.stringify(event)));
    let [kind, body, headers, trailers] = await this.inbox.take();
    while (kind === 'next') {
      [kind, body, headers, trailers] = await this.inbox.take();
    }
    if (kind.endsWith('/error')) {
      const error = JSON.parse(body);
      if (headers['lambda-runtime-function-error-type'] === undefined) {
        throw new Error('an error without its type');
      }
      return { error };
    }
    if (headers['lambda-runtime-function-response-mode'] !== 'streaming') {
      return { result: JSON.parse(body) };
    }
    const text = trailers['lambda-runtime-function-error-body'];
    const error = text === undefined ? undefined : JSON.parse(Buffer.from(text, 'base64').toString());
    return { contentType: headers['content-type'], body, error };
  }

  async close() {
    await super.close();
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

/** How each transport is started: `(files, handler, extra) => runtime`. */
const TRANSPORTS = {
  channel: async (...values) => new ChannelRuntime(...values),
  prebooted: async (...values) => new PrebootedRuntime(...values),
  http: (...values) => HttpRuntime.start(...values),
};

/** Runs `body` with a runtime that is closed afterwards, whatever happens. */
async function withRuntime(transport, files, handler, extra, body) {
  const runtime = await TRANSPORTS[transport](files, handler, extra);
  try {
    return await body(runtime);
  } finally {
    await runtime.close();
  }
}

module.exports = { TRANSPORTS, packageOf, withRuntime };
