// Example requests in three languages.

// Returns one line of numbers per row of pixels.
function rows(pixels, width, indent) {
  const lines = [];
  for (let start = 0; start < pixels.length; start += width) {
    lines.push(`${indent}[${pixels.slice(start, start + width).join(",")}]`);
  }
  return lines.join(",\n");
}

export const SNIPPETS = {
  curl: (origin, pixels, width) => `curl ${origin}/predict --header "Content-Type: application/json" --data '{"pixels": [
${rows(pixels, width, "  ")}
]}'`,

  python: (origin, pixels, width) => `import json
from urllib.request import Request, urlopen

pixels = [
${rows(pixels, width, "    ")},
]
request = Request(
    "${origin}/predict",
    data=json.dumps({"pixels": pixels}).encode(),
    headers={"Content-Type": "application/json"},
)
with urlopen(request) as response:
    answer = json.load(response)
print(answer["predictions"][0]["label"])`,

  javascript: (origin, pixels, width) => `const pixels = [
${rows(pixels, width, "  ")},
];
const response = await fetch("${origin}/predict", {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ pixels }),
});
const answer = await response.json();
console.log(answer.predictions[0].label);`,
};
