/** What of a processor a program may have found and come to rely on. Pure: works on the text of /proc/cpuinfo. */

/**
 * Instruction sets, and what changes the size of a saved state. Linux lists in the same line how it mends faults of the
 * processor and what only itself may use: nodes differ in those by microcode and kernel, and no program notices.
 */
const VISIBLE =
  /^(mmx|mmxext|sse|sse2|pni|ssse3|sse4_1|sse4_2|sse4a|sse4|avx\w*|fma|fma4|f16c|xop|tbm|3dnow\w*|aes|vaes|pclmulqdq|vpclmulqdq|sha_ni|sha512|sm3|sm4|gfni|bmi1|bmi2|abm|movbe|popcnt|adx|rdrand|rdseed|rdpid|rdtscp|fsgsbase|cx8|cx16|cmov|lahf_lm|fxsr|xsave\w*|clflush\w*|clwb|cldemote|movdir\w+|enqcmd|serialize|waitpkg|ptwrite|pku|ospke|rtm|hle|amx\w*|apx\w*|prefetchw?\w*|prefetchi|erms|fsrm|user_shstk|cmpccxadd|raoint)$/

/**
 * @returns names, sorted, of what every processor of the node has; all of them on arm64, where Linux tells only what programs
 *   may use
 */
export function cpuFeatures(cpuinfo: string): string[] {
  const sets = cpuinfo.split('\n').flatMap((line) => {
    const [, title = '', values] = /^(flags|Features)\s*:(.*)$/.exec(line) ?? []
    if (values === undefined) return []
    const names = values.trim().split(/\s+/)
    return [new Set(title === 'flags' ? names.filter((name) => VISIBLE.test(name)) : names)]
  })
  const [first = new Set<string>(), ...others] = sets
  return [...first].filter((name) => others.every((set) => set.has(name))).sort()
}
