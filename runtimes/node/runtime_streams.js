'use strict';

/**
 * Streamed responses, https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html:
 * what `awslambda` offers to functions, and the stream that a streaming handler writes to.
 */

const { Writable } = require('stream');
const { InvalidStreamingOperation, MalformedStreamingHandler } = require('./runtime_errors.js');

// Libraries (middy, powertools) mark handlers themselves under these names.
const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');
const STREAM_RESPONSE = 'response';

const DEFAULT_CONTENT_TYPE = 'application/octet-stream';
const INTEGRATION_CONTENT_TYPE = 'application/vnd.awslambda.http-integration-response';
/** What separates the JSON of status and headers from the body. */
const PRELUDE_END = new Uint8Array(8);

/**
 * The response of a streaming handler. `sink` is the transport's: `begin(contentType)`, `chunk(bytes, callback)`,
 * `end(callback)`, `fail(payload, callback)`.
 */
class ResponseStream extends Writable {
  constructor(sink, highWaterMark) {
    super({ highWaterMark, decodeStrings: true });
    this._sink = sink;
    this._contentType = DEFAULT_CONTENT_TYPE;
    this._hasBegun = false;
  }

  /** Sets the response's content type; not possible any more once something was written. */
  setContentType(contentType) {
    if (this._hasBegun || this.writableLength > 0) {
      throw new InvalidStreamingOperation('Cannot set content-type, too late.');
    }
    this._contentType = contentType;
  }

  /** Text and bytes as they are, everything else as JSON. */
  write(chunk, encoding, callback) {
    const isPlain = typeof chunk === 'string' || chunk instanceof Uint8Array;
    return super.write(isPlain ? chunk : JSON.stringify(chunk), encoding, callback);
  }

  _write(chunk, encoding, callback) {
    this._begin();
    this._sink.chunk(chunk, callback);
  }

  _final(callback) {
    this._begin();
    this._sink.end(callback);
  }

  _begin() {
    if (this._hasBegun) {
      return;
    }
    this._hasBegun = true;
    this._sink.begin(this._contentType);
    if (typeof this._onBeforeFirstWrite === 'function') {
      this._onBeforeFirstWrite((bytes) => this._sink.chunk(Buffer.from(bytes), () => {}));
    }
  }
}

/** Responses with a status and headers, for function URLs and API Gateway. */
class HttpResponseStream {
  static from(stream, metadata) {
    stream.setContentType(INTEGRATION_CONTENT_TYPE);
    const prelude = JSON.stringify(metadata);
    stream._onBeforeFirstWrite = (write) => {
      write(prelude);
      write(PRELUDE_END);
    };
    return stream;
  }
}

/** Marks a handler `(event, responseStream, context)` as a streaming one. */
function streamifyResponse(handler, options) {
  handler[STREAMING] = STREAM_RESPONSE;
  if (typeof options?.highWaterMark === 'number') {
    handler[HIGH_WATER_MARK] = Math.trunc(options.highWaterMark);
  }
  return handler;
}

/** Makes `awslambda` global, unless the function does not want it. */
function addGlobal() {
  if (!['1', 'true'].includes(process.env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA)) {
    globalThis.awslambda = { streamifyResponse, HttpResponseStream };
  }
}

/** Whether and how a handler streams: `{ isStreaming, highWaterMark }`. */
function streamingOf(handler) {
  const mark = handler[STREAMING];
  if (mark === undefined || mark === null || mark === false) {
    return { isStreaming: false, highWaterMark: undefined };
  }
  if (mark !== STREAM_RESPONSE) {
    throw new MalformedStreamingHandler('Only response streaming is supported.');
  }
  const highWaterMark = Number.parseInt(handler[HIGH_WATER_MARK], 10);
  return { isStreaming: true, highWaterMark: Number.isNaN(highWaterMark) ? undefined : highWaterMark };
}

module.exports = { HttpResponseStream, ResponseStream, addGlobal, streamifyResponse, streamingOf };
