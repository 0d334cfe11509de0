'use strict';

/**
 * Runs invocations one after the other, in the two models that Lambda has had: until Node.js 22 with callbacks and
 * `callbackWaitsForEmptyEventLoop`, since Node.js 24 with promises only. Which one holds is told by the name of the
 * function's runtime, not by the interpreter that happens to run it.
 *
 * Sources: https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html, nodejs-context.html.
 */

const { NodeJsExit, errorPayload } = require('./runtime_errors.js');
const { setCurrentInvoke } = require('./runtime_logs.js');
const { ResponseStream } = require('./runtime_streams.js');

const NODE_JS_EXIT_MESSAGE =
  'The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise that' +
  ' was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes';

/** Serves invocations of one handler until the process ends. */
class Server {
  /** `model` is "callback" or "promise"; `streaming` as `streamingOf` tells it; `logError` as `patchConsole` returns it. */
  constructor({ transport, handler, streaming, model, logError }) {
    this.transport = transport;
    this.handler = handler;
    this.streaming = streaming;
    this.model = model;
    this.logError = logError;
    /** The invocation that is not answered yet. */
    this.current = undefined;
    /** What is done when nothing is left in the event loop. */
    this.whenIdle = undefined;
    process.on('beforeExit', () => {
      const action = this.whenIdle;
      this.whenIdle = undefined;
      action?.();
    });
  }

  /** Waits for the next invocation, from the next turn of the event loop on. */
  scheduleNext() {
    this.whenIdle = undefined;
    setImmediate(() => this.transport.next((invoke) => this.run(invoke)));
  }

  run(invoke) {
    this.current = invoke;
    setCurrentInvoke(invoke.request_id, invoke.tenant_id ?? undefined);
    if (invoke.trace_id) {
      process.env._X_AMZN_TRACE_ID = invoke.trace_id;
    } else {
      delete process.env._X_AMZN_TRACE_ID;
    }
    if (this.streaming.isStreaming) {
      this.runStreaming(invoke);
    } else if (this.model === 'promise') {
      this.runPromise(invoke);
    } else {
      this.runCallback(invoke);
    }
  }

  /** Answers with a result, and goes on. Throws what cannot be written as JSON. */
  succeed(invoke, result) {
    const text = toJson(result);
    this.current = undefined;
    this.transport.respond(invoke, text);
    this.scheduleNext();
  }

  /** Answers with an error, and goes on. */
  fail(invoke, error) {
    this.logError('Invoke Error', error);
    this.current = undefined;
    this.transport.fail(invoke, errorPayload(error));
    this.scheduleNext();
  }

  /** Answers with an error that ends the process; nobody waits for an answer outside of an invocation. */
  failAndEnd(error, status) {
    const invoke = this.current;
    if (invoke === undefined) {
      process.exit(status);
    }
    this.current = undefined;
    this.transport.failAndEnd(invoke, errorPayload(error), () => process.exit(status));
  }

  async runPromise(invoke) {
    this.whenIdle = () => this.neverSettled(invoke);
    try {
      const context = Object.assign(invokeFields(invoke), environmentFields());
      this.succeed(invoke, await this.handler(JSON.parse(invoke.payload), context));
    } catch (error) {
      if (this.current === invoke) {
        this.fail(invoke, error);
      }
    }
  }

  /** The event loop is empty, and an asynchronous handler has not come back. */
  neverSettled(invoke) {
    this.fail(invoke, new NodeJsExit(NODE_JS_EXIT_MESSAGE));
  }

  runCallback(invoke) {
    const { context, callback } = callbacksOf(this, invoke);
    // A handler that never calls back, and is no asynchronous function, has succeeded when there is nothing left to do.
    const isAsync = this.handler.constructor?.name === 'AsyncFunction';
    this.whenIdle = () => {
      context.expire();
      return isAsync ? this.neverSettled(invoke) : this.succeed(invoke, null);
    };
    try {
      Object.assign(context.visible, environmentFields(), invokeFields(invoke));
      const result = this.handler(JSON.parse(invoke.payload), context.visible, callback);
      if (isPromise(result)) {
        result.then(context.visible.succeed, context.visible.fail).catch(context.visible.fail);
      }
    } catch (error) {
      callback(error);
    }
  }

  async runStreaming(invoke) {
    const stream = new ResponseStream(this.transport.stream(invoke), this.streaming.highWaterMark);
    // The handler's own listeners come later: a failed write must not end the process.
    stream.on('error', () => {});
    const visible = this.model === 'callback' ? { callbackWaitsForEmptyEventLoop: true } : {};
    try {
      const context = Object.assign(visible, environmentFields(), invokeFields(invoke));
      const result = this.handler(JSON.parse(invoke.payload), stream, context);
      if (!isPromise(result)) {
        const message = 'Streaming does not support non-async handlers.';
        throw this.model === 'callback' ? message : new Error(message);
      }
      await this.finished(stream, result);
    } catch (error) {
      this.failStream(invoke, stream, error);
      return;
    }
    this.current = undefined;
    if (visible.callbackWaitsForEmptyEventLoop) {
      this.whenIdle = () => this.scheduleNext();
    } else {
      this.scheduleNext();
    }
  }

  /** Waits for the handler and for the end of its stream; fails if neither can come any more. */
  async finished(stream, result) {
    const ended = new Promise((resolve, reject) => {
      stream.once('finish', resolve);
      stream.once('error', reject);
      this.whenIdle = () => reject(this.model === 'callback' ? UNFINISHED : new Error(UNFINISHED));
    });
    // Looked at below; until then its failure is nobody's.
    ended.catch(() => {});
    if ((await Promise.race([result, ended.then(() => result)])) !== undefined) {
      console.warn('Streaming handlers ignore return values.');
    }
    await ended;
  }

  failStream(invoke, stream, error) {
    if (this.current !== invoke) {
      return;
    }
    this.logError('Invoke Error', error);
    this.current = undefined;
    this.whenIdle = undefined;
    stream._sink.fail(errorPayload(error), () => this.scheduleNext());
    stream.destroy();
  }
}

const UNFINISHED = 'Response stream is not finished.';

/** A callback, and the part of the context that answers; only the first answer counts. */
function callbacksOf(server, invoke) {
  let waits = true;
  let isAnswered = false;
  const once = (action) => (...values) => {
    if (!isAnswered) {
      isAnswered = true;
      server.whenIdle = undefined;
      action(...values);
    }
  };
  const answer = (error, result) => {
    if (error !== undefined && error !== null) {
      server.fail(invoke, error);
      return;
    }
    try {
      server.succeed(invoke, result);
    } catch (unwritable) {
      server.fail(invoke, unwritable);
    }
  };
  const visible = {
    get callbackWaitsForEmptyEventLoop() {
      return waits;
    },
    set callbackWaitsForEmptyEventLoop(value) {
      waits = value;
    },
    succeed: once((result) => answer(null, result)),
    fail: once((error) => answer(error ?? 'handled')),
    done: once(answer),
  };
  const callback = once((error, result) => {
    if (waits && (error === undefined || error === null)) {
      server.whenIdle = () => answer(null, result);
    } else {
      answer(error, result);
    }
  });
  return { context: { visible, expire: () => (isAnswered = true) }, callback };
}

function environmentFields() {
  const { env } = process;
  return {
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
  };
}

function invokeFields(invoke) {
  return {
    clientContext: parseOptional(invoke.client_context, 'ClientContext'),
    identity: parseOptional(invoke.cognito_identity, 'CognitoIdentity'),
    invokedFunctionArn: invoke.invoked_function_arn,
    awsRequestId: invoke.request_id,
    tenantId: invoke.tenant_id ?? undefined,
    getRemainingTimeInMillis: () => invoke.deadline_ms - Date.now(),
  };
}

function parseOptional(text, name) {
  if (text === undefined || text === null || text === '') {
    return undefined;
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`Cannot parse ${name} as json: ${error}`);
  }
}

/** A result as JSON; what JSON has no word for is null. */
function toJson(result) {
  try {
    return JSON.stringify(result) ?? 'null';
  } catch {
    throw new Error('Unable to stringify response body');
  }
}

function isPromise(value) {
  return typeof value?.then === 'function';
}

module.exports = { Server };
