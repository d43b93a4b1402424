export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

/** A command, and what may stand after it. */
export interface CompletionNode {
  /** Names from the first group down; empty for the program itself. */
  readonly path: readonly string[];
  readonly words: readonly { readonly word: string; readonly meaning: string }[];
}

/** A script that completes commands and options without starting the program. */
export function completionScript(shell: Shell, nodes: readonly CompletionNode[]): string {
  return { bash, zsh, fish }[shell](nodes);
}

const keyOf = (path: readonly string[]): string => path.join(' ');
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
const paths = (nodes: readonly CompletionNode[]): string =>
  nodes.flatMap(({ path }) => (path.length > 0 ? [quoted(keyOf(path))] : [])).join('|');

function bash(nodes: readonly CompletionNode[]): string {
  const cases = nodes.map(
    ({ path, words }) => `    ${quoted(keyOf(path))}) words=${quoted(words.map(({ word }) => word).join(' '))} ;;`,
  );
  return `# bash completion for runledger
_runledger() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path='' longer words='' index
  for ((index = 1; index < COMP_CWORD; index++)); do
    longer="\${path:+$path }\${COMP_WORDS[index]}"
    case "$longer" in
      ${paths(nodes)}) path="$longer" ;;
    esac
  done
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _runledger runledger`;
}

function zsh(nodes: readonly CompletionNode[]): string {
  const cases = nodes.map(({ path, words }) => {
    const described = words.map(({ word, meaning }) => quoted(`${word.replaceAll(':', '\\:')}:${meaning}`));
    return `    ${quoted(keyOf(path))}) words_here=(${described.join(' ')}) ;;`;
  });
  return `#compdef runledger
_runledger() {
  local here='' longer index
  local -a words_here
  for ((index = 2; index < CURRENT; index++)); do
    longer="\${here:+$here }\${words[index]}"
    case "$longer" in
      ${paths(nodes)}) here="$longer" ;;
    esac
  done
  case "$here" in
${cases.join('\n')}
  esac
  _describe 'runledger' words_here || _files
}
if [ "$funcstack[1]" = "_runledger" ]; then _runledger "$@"; else compdef _runledger runledger; fi`;
}

function fish(nodes: readonly CompletionNode[]): string {
  const completions = nodes.flatMap(({ path, words }) =>
    words.map(({ word, meaning }) => {
      const what = word.startsWith('--') ? `-l ${quoted(word.slice(2))}` : `-f -a ${quoted(word)}`;
      return `complete -c runledger -n "test (__runledger_here) = ${quoted(keyOf(path))}" ${what} -d ${quoted(meaning)}`;
    }),
  );
  return `# fish completion for runledger
function __runledger_here
  set -l here ''
  for word in (commandline -opc)[2..]
    set -l longer (string trim -- "$here $word")
    contains -- "$longer" ${nodes.flatMap(({ path }) => (path.length > 0 ? [quoted(keyOf(path))] : [])).join(' ')}; and set here $longer
  end
  echo -- $here
end
${completions.join('\n')}`;
}
