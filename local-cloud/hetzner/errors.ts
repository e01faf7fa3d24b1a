/** Statuses that the API answers refusals with. */
export type ErrorStatus = 400 | 401 | 403 | 404 | 409 | 410 | 412 | 422 | 423 | 429 | 501;

/** A refusal in the API's own shape: `{"error": {"code", "message", "details"}}`. */
export class ApiError extends Error {
  constructor(
    readonly status: ErrorStatus,
    readonly code: string,
    message: string,
    readonly details: unknown = null,
  ) {
    super(message);
  }
}

export interface FieldError {
  readonly name: string;
  readonly messages: readonly string[];
}

/** 422 invalid_input with the fields that are wrong. */
export function invalidFields(fields: readonly FieldError[]): ApiError {
  const text = fields.map((field) => `'${field.name}': ${field.messages.join(", ")}`).join("; ");
  return new ApiError(422, "invalid_input", `invalid input in field ${text}`, { fields });
}

/** 422 invalid_input about the request as a whole. */
export function invalid(message: string): ApiError {
  return new ApiError(422, "invalid_input", message, { fields: [] });
}

export function invalidField(name: string, message: string): ApiError {
  return invalidFields([{ name, messages: [message] }]);
}

export function notFound(kind: string, id: number | string): ApiError {
  return new ApiError(404, "not_found", `${kind} with ID '${id}' not found`);
}

export function notUnique(message: string, field: string): ApiError {
  return new ApiError(409, "uniqueness_error", message, { fields: [{ name: field }] });
}

export function limitExceeded(message: string, limit: string): ApiError {
  return new ApiError(403, "resource_limit_exceeded", message, { limits: [{ name: limit }] });
}

export function isProtected(kind: string): ApiError {
  return new ApiError(423, "protected", `${kind} deletion is protected`);
}
