import path from "node:path";
import ts from "typescript";

/** A property's type, in the words that the plugins' `-mapping` output uses. */
export interface PropertyType {
  type: "string" | "number" | "boolean" | "array" | "map" | "object" | "any";
  element?: PropertyType;
  fields?: Record<string, PropertyType>;
  /** Whether a program may leave it out. */
  optional?: boolean;
}

export interface SdkResource {
  outputs: Record<string, PropertyType>;
  inputs: Record<string, PropertyType>;
}

export interface SdkFunction {
  results: Record<string, PropertyType>;
  inputs: Record<string, PropertyType>;
}

export interface Sdk {
  /** By class name. */
  resources: Map<string, SdkResource>;
  /** By function name, without the …Output forms. */
  functions: Map<string, SdkFunction>;
  provider: Record<string, PropertyType>;
}

/** Reads what an installed provider SDK declares, from its own type declarations. */
export function readSdk(folder: string): Sdk {
  const entry = path.join(folder, "index.d.ts");
  const program = ts.createProgram([entry], {
    strict: true,
    skipLibCheck: true,
    noEmit: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: [],
  });
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(entry);
  const symbol = source && checker.getSymbolAtLocation(source);
  if (!source || !symbol) throw new Error(`${entry} cannot be read as a module`);

  const sdk: Sdk = { resources: new Map(), functions: new Map(), provider: {} };
  for (const exported of checker.getExportsOfModule(symbol)) {
    const name = exported.getName();
    const type = checker.getTypeOfSymbolAtLocation(exported, source);
    const constructor = type.getConstructSignatures()[0];
    const call = type.getCallSignatures()[0];
    if (constructor && /^[A-Z]/.test(name)) {
      const args = constructor.getParameters()[1];
      const inputs = args ? properties(typeOf(args), []) : {};
      if (name === "Provider") sdk.provider = inputs;
      else sdk.resources.set(name, { inputs, outputs: outputsOf(constructor.getReturnType()) });
    } else if (call && name.startsWith("get") && !name.endsWith("Output")) {
      // (args?, opts?), or (opts?) alone for a function without arguments.
      const [first] = call.getParameters();
      sdk.functions.set(name, {
        inputs: first && first.getName() === "args" ? properties(typeOf(first), []) : {},
        results: properties(typeArgument(call.getReturnType()), []),
      });
    }
  }
  return sdk;

  function typeOf(property: ts.Symbol): ts.Type {
    return checker.getNonNullableType(checker.getTypeOfSymbol(property));
  }

  function typeArgument(type: ts.Type): ts.Type {
    const [argument] = checker.getTypeArguments(type as ts.TypeReference);
    if (!argument) throw new Error(`${checker.typeToString(type)} has no type argument`);
    return argument;
  }

  /** A resource's own outputs; `id` and `urn` are every resource's. */
  function outputsOf(instance: ts.Type): Record<string, PropertyType> {
    const outputs: Record<string, PropertyType> = {};
    for (const property of instance.getProperties()) {
      if (["id", "urn"].includes(property.getName()) || !isDeclaredIn(property)) continue;
      outputs[property.getName()] = describe(typeOf(property), []);
    }
    return outputs;
  }

  /** False for what a class inherits from @pulumi/pulumi. */
  function isDeclaredIn(property: ts.Symbol): boolean {
    return (property.declarations ?? []).some((d) =>
      d.getSourceFile().fileName.startsWith(path.resolve(folder)),
    );
  }

  function properties(type: ts.Type, within: ts.Type[]): Record<string, PropertyType> {
    return Object.fromEntries(
      checker
        .getNonNullableType(type)
        .getProperties()
        .map((p) => [
          p.getName(),
          {
            ...describe(typeOf(p), within),
            optional: (p.flags & ts.SymbolFlags.Optional) !== 0,
          },
        ]),
    );
  }

  function describe(type: ts.Type, within: ts.Type[]): PropertyType {
    const plain = unwrap(checker.getNonNullableType(type));
    if (within.includes(plain)) throw new Error(`${checker.typeToString(plain)} contains itself`);
    if (plain.flags & ts.TypeFlags.Any) return { type: "any" };
    if (plain.flags & ts.TypeFlags.StringLike) return { type: "string" };
    if (plain.flags & ts.TypeFlags.NumberLike) return { type: "number" };
    if (plain.flags & ts.TypeFlags.BooleanLike) return { type: "boolean" };
    if (checker.isArrayType(plain)) {
      return { type: "array", element: describe(typeArgument(plain), [...within, plain]) };
    }
    const index = plain.getStringIndexType();
    if (index) return { type: "map", element: describe(index, [...within, plain]) };
    return { type: "object", fields: properties(plain, [...within, plain]) };
  }

  /** Output<T> and Input<T> (a union with Promise<T> and OutputInstance<T>) become T. */
  function unwrap(type: ts.Type): ts.Type {
    if (isWrapper(type)) return unwrap(checker.getNonNullableType(typeArgument(type)));
    if (type.isIntersection()) {
      const output = type.types.find(isWrapper);
      if (output) return unwrap(checker.getNonNullableType(typeArgument(output)));
    }
    if (type.isUnion() && !(type.flags & ts.TypeFlags.BooleanLike)) {
      const wrapped = type.types.find(isWrapper);
      if (wrapped) return unwrap(checker.getNonNullableType(typeArgument(wrapped)));
    }
    return type;
  }

  function isWrapper(type: ts.Type): boolean {
    return ["OutputInstance", "Promise"].includes(type.symbol?.getName());
  }
}
