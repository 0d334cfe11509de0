'use strict';

/**
 * How invocations arrive and answers leave: gust's private channel, and the HTTP Runtime API. Both offer
 *
 * - `ready()`, `initFailed(payload, callback)`: how initialisation ended;
 * - `next(callback)`: the next invocation; only while this waits does a transport keep the event loop alive;
 * - `respond(invoke, text)`, `fail(invoke, payload)`: its answer;
 * - `failAndEnd(invoke, payload, callback)`: the same, from a process that ends right after it;
 * - `stream(invoke)`: a streamed answer, see runtime_streams.js.
 */

const net = require('net');

/** Largest frame on the private channel: 6 MiB and 64 KiB, type byte included. The daemon has the same bound. */
const FRAME_BYTES_MAX = 6 * 1024 * 1024 + 64 * 1024;
/** Largest piece of a streamed response in one frame; the daemon has the same bound. */
const CHUNK_BYTES_MAX = 1024 * 1024;
/** What an error's message is cut to, if its document does not fit a frame, in characters. */
const SHORT_MESSAGE_LENGTH = 65536;
const LENGTH_BYTES = 4;
const HEAD_BYTES = 5;

const TOO_LARGE_MESSAGE = 'Response payload size exceeded maximum allowed payload size (6291556 bytes).';

function ignore() {}

/** The private channel: frames of a 4-byte little-endian length, a type byte and a body. */
class Channel {
  constructor(fd) {
    this.parts = [];
    this.partsBytes = 0;
    this.waiting = undefined;
    this.socket = new net.Socket({ fd, readable: true, writable: true });
    this.socket.on('error', ignore);
    // gust has hung up: there is nothing left to run for.
    this.socket.on('close', () => process.exit(0));
    this.socket.on('data', (data) => {
      this.parts.push(data);
      this.partsBytes += data.length;
      this.deliver();
    });
    this.socket.unref();
  }

  ready() {
    this.send('R', '');
  }

  initFailed(payload, callback) {
    this.sendError('F', payload, callback);
  }

  next(callback) {
    this.nextFrame('I', (body) => {
      const headerEnd = LENGTH_BYTES + body.readUInt32LE(0);
      const invoke = JSON.parse(body.toString('utf8', LENGTH_BYTES, headerEnd));
      invoke.payload = body.toString('utf8', headerEnd);
      callback(invoke);
    });
  }

  /** Waits for one frame, which must be of this kind. */
  nextFrame(kind, callback) {
    this.waiting = { kind, callback };
    this.socket.ref();
    if (this.partsBytes > 0) {
      setImmediate(() => this.deliver());
    }
  }

  respond(invoke, text) {
    if (text.length >= FRAME_BYTES_MAX || Buffer.byteLength(text) >= FRAME_BYTES_MAX) {
      this.fail(invoke, { errorType: 'Function.ResponseSizeTooLarge', errorMessage: TOO_LARGE_MESSAGE, trace: [] });
    } else {
      this.send('O', text);
    }
  }

  fail(invoke, payload) {
    this.sendError('E', payload);
  }

  failAndEnd(invoke, payload, callback) {
    this.sendError('X', payload, callback);
  }

  stream(invoke) {
    let hasBegun = false;
    return {
      begin: (contentType) => {
        hasBegun = true;
        this.send('S', contentType);
      },
      chunk: (bytes, callback) => {
        let at = 0;
        for (; bytes.length - at > CHUNK_BYTES_MAX; at += CHUNK_BYTES_MAX) {
          this.send('C', bytes.subarray(at, at + CHUNK_BYTES_MAX));
        }
        this.send('C', bytes.subarray(at), callback);
      },
      end: (callback) => this.send('D', '', callback),
      fail: (payload, callback) => this.sendError('E', payload, callback),
      hasBegun: () => hasBegun,
    };
  }

  sendError(kind, payload, callback) {
    let text = JSON.stringify(payload);
    if (Buffer.byteLength(text) >= FRAME_BYTES_MAX) {
      const errorMessage = payload.errorMessage.slice(0, SHORT_MESSAGE_LENGTH);
      text = JSON.stringify({ errorType: payload.errorType.slice(0, SHORT_MESSAGE_LENGTH), errorMessage, trace: [] });
    }
    this.send(kind, text, callback);
  }

  send(kind, body, callback) {
    const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
    const frame = Buffer.allocUnsafe(HEAD_BYTES + length);
    frame.writeUInt32LE(1 + length, 0);
    frame[LENGTH_BYTES] = kind.charCodeAt(0);
    if (typeof body === 'string') {
      frame.write(body, HEAD_BYTES);
    } else {
      frame.set(body, HEAD_BYTES);
    }
    this.socket.write(frame, callback);
  }

  /** Hands a whole frame to whoever waits for it. */
  deliver() {
    if (this.waiting === undefined || this.partsBytes < HEAD_BYTES) {
      return;
    }
    if (this.parts.length > 1 && this.parts[0].length < HEAD_BYTES) {
      this.parts = [Buffer.concat(this.parts)];
    }
    const total = LENGTH_BYTES + this.parts[0].readUInt32LE(0);
    if (total < HEAD_BYTES || total > LENGTH_BYTES + FRAME_BYTES_MAX) {
      throw new Error(`frame of ${total} bytes`);
    }
    if (this.partsBytes < total) {
      return;
    }
    const data = this.parts.length === 1 ? this.parts[0] : Buffer.concat(this.parts, this.partsBytes);
    this.parts = data.length > total ? [data.subarray(total)] : [];
    this.partsBytes = data.length - total;
    const { kind, callback } = this.waiting;
    this.waiting = undefined;
    this.socket.unref();
    if (data[LENGTH_BYTES] !== kind.charCodeAt(0)) {
      throw new Error(`frame of kind ${data[LENGTH_BYTES]} instead of ${kind}`);
    }
    callback(data.subarray(HEAD_BYTES, total));
  }
}

const API_VERSION = '/2018-06-01/runtime';
const ERROR_TYPE_HEADER = 'Lambda-Runtime-Function-Error-Type';
const ERROR_BODY_HEADER = 'Lambda-Runtime-Function-Error-Body';

/** The HTTP Runtime API, https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html. */
class RuntimeApi {
  constructor(address) {
    this.http = require('http');
    const at = address.lastIndexOf(':');
    this.target = { host: address.slice(0, at), port: address.slice(at + 1) };
    this.target.agent = new this.http.Agent({ keepAlive: true, maxSockets: 1 });
  }

  /** Asking for the first invocation says so. */
  ready() {}

  initFailed(payload, callback) {
    this.post('/init/error', JSON.stringify(payload), payload.errorType, callback);
  }

  next(callback) {
    this.request('GET', '/invocation/next', {}, (response, body) => {
      if (response.statusCode !== 200) {
        throw new Error(`next invocation: HTTP status ${response.statusCode}`);
      }
      const header = (name) => utf8(response.headers[`lambda-runtime-${name}`]);
      callback({
        request_id: header('aws-request-id'),
        deadline_ms: Number(header('deadline-ms')),
        invoked_function_arn: header('invoked-function-arn'),
        trace_id: header('trace-id'),
        client_context: header('client-context'),
        cognito_identity: header('cognito-identity'),
        tenant_id: header('aws-tenant-id'),
        payload: body,
      });
    }).end();
  }

  respond(invoke, text) {
    this.post(`/invocation/${invoke.request_id}/response`, text, undefined, ignore);
  }

  fail(invoke, payload) {
    this.failAndEnd(invoke, payload, ignore);
  }

  failAndEnd(invoke, payload, callback) {
    this.post(`/invocation/${invoke.request_id}/error`, JSON.stringify(payload), payload.errorType, callback);
  }

  stream(invoke) {
    let request;
    let answered = ignore;
    const open = (contentType) => {
      const headers = {
        'Content-Type': contentType,
        'Lambda-Runtime-Function-Response-Mode': 'streaming',
        Trailer: [ERROR_TYPE_HEADER, ERROR_BODY_HEADER],
        'Transfer-Encoding': 'chunked',
      };
      const path = `/invocation/${invoke.request_id}/response`;
      request = this.request('POST', path, headers, () => answered());
      request.flushHeaders();
      // A stream that nobody will end must not keep the process from noticing that.
      request.once('socket', (socket) => socket.unref());
    };
    const finish = (callback) => {
      answered = callback;
      request.socket?.ref();
      request.end();
    };
    return {
      begin: open,
      chunk: (bytes, callback) => request.write(bytes, callback),
      end: finish,
      fail: (payload, callback) => {
        if (request === undefined) {
          this.failAndEnd(invoke, payload, callback ?? ignore);
          return;
        }
        const body = Buffer.from(JSON.stringify(payload)).toString('base64');
        request.addTrailers({ [ERROR_TYPE_HEADER]: headerValue(payload.errorType), [ERROR_BODY_HEADER]: body });
        finish(callback ?? ignore);
      },
      hasBegun: () => request !== undefined,
    };
  }

  post(path, text, errorType, callback) {
    const body = Buffer.from(text);
    const headers = { 'Content-Type': 'application/json', 'Content-Length': body.length };
    if (errorType !== undefined) {
      headers[ERROR_TYPE_HEADER] = headerValue(errorType);
    }
    // A refusal (413, 403 after a time-out) was dealt with by whoever refused.
    this.request('POST', path, headers, () => callback()).end(body);
  }

  request(method, path, headers, callback) {
    const request = this.http.request({ ...this.target, method, path: API_VERSION + path, headers }, (response) => {
      const parts = [];
      response.on('data', (data) => parts.push(data));
      response.on('end', () => callback(response, Buffer.concat(parts).toString('utf8')));
    });
    request.on('error', (error) => {
      // Without the Runtime API there is nothing left to run for; what it refuses in mid-request was dealt with there.
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') {
        process.exit(1);
      }
      if (method === 'GET') {
        process.exit(0);
      }
      callback(undefined, '');
    });
    return request;
  }
}

/** Header values are bytes; Node.js shows each as one character. */
function utf8(value) {
  return value === undefined ? undefined : Buffer.from(value, 'latin1').toString('utf8');
}

/** What may stand in a header; an error's name may be anything. */
function headerValue(text) {
  return String(text).replace(/[^\x20-\x7e]/g, '?').slice(0, 1024);
}

module.exports = { CHUNK_BYTES_MAX, Channel, FRAME_BYTES_MAX, RuntimeApi };
