{{/*
Values in many spellings become values in one: called first by every template, it changes .Values in place, once.

1. Other spellings and other places of a value move to the one that the templates read. A spelling that is not in
   values.yaml can only come from the installation, so it goes before the default of the usual one.
2. Every text with a template in it is put through `tpl`, so that nothing after this has to think of it.
*/}}
{{- define "ges.normal" -}}
{{- if not (hasKey .Values "ges.normal") -}}
{{- $ges := .Values.ges -}}
{{- $deployment := $ges.deployment -}}
{{- include "ges.moved" (dict "to" $ges "from" $ges.service "names" (list "servicename" "serviceName")) -}}
{{- include "ges.same" (dict "map" $ges "names" (list "servicename" "serviceName")) -}}
{{- include "ges.same" (dict "map" $ges.configMap.env "names" (list "devopsAccessGroups" "devOpsAccessGroups")) -}}
{{- include "ges.same" (dict "map" $ges.configMap.env.log "names" (list "maxLen" "max_len")) -}}
{{- include "ges.same" (dict "map" $ges.secrets "names" (list "configFolders" "config_folders")) -}}
{{- include "ges.merged" (dict "to" $deployment "from" $ges "names" (list "hpa" "image")) -}}
{{- include "ges.moved" (dict "to" $deployment "from" $ges "names" (list "replicas" "nodeSelector" "dnsConfig" "update_strategy" "topologySpreadConstraints")) -}}
{{- include "ges.moved" (dict "to" $ges "from" $deployment "names" (list "resources" "priorityClassName" "tolerations" "affinity")) -}}
{{- include "ges.merged" (dict "to" $ges "from" $deployment "names" (list "securityContext")) -}}
{{- include "ges.same" (dict "map" $deployment.image "names" (list "name" "image")) -}}
{{- include "ges.same" (dict "map" $deployment.image "names" (list "imagePullPolicy" "pullPolicy")) -}}
{{- include "ges.same" (dict "map" $deployment.image "names" (list "imagePullSecrets" "pullSecrets")) -}}
{{- include "ges.same" (dict "map" $deployment.hpa "names" (list "minimumReplicas" "mimimumReplicas")) -}}
{{- include "ges.same" (dict "map" $deployment "names" (list "update_strategy" "strategy")) -}}
{{- include "ges.same" (dict "map" $deployment "names" (list "min_ready_seconds" "minReadySeconds")) -}}
{{- include "ges.merged" (dict "to" $ges.ingress "from" $ges "names" (list "networkPolicies")) -}}
{{- include "ges.merged" (dict "to" $ges.monitoring "from" $ges "names" (list "prometheus" "grafana")) -}}
{{- include "ges.merged" (dict "to" $ges.monitoring "from" (.Values.monitoring | default dict) "names" (list "prometheus" "grafana")) -}}
{{- include "ges.walk" (dict "root" . "map" $ges) -}}
{{- $_ := set .Values "ges.normal" true -}}
{{- end -}}
{{- end -}}

{{/* Other spellings of `names` 0 in the same map: what they hold counts, and all of them hold it. */}}
{{- define "ges.same" -}}
{{- $map := .map -}}
{{- $name := first .names -}}
{{- range $other := rest .names -}}
{{- if hasKey $map $other -}}{{- $_ := set $map $name (get $map $other) -}}{{- end -}}
{{- end -}}
{{- range $other := rest .names -}}{{- $_ := set $map $other (get $map $name) -}}{{- end -}}
{{- end -}}

{{/* `names` of the map `from`, where they are there, replace those of `to`. */}}
{{- define "ges.moved" -}}
{{- $to := .to -}}
{{- $from := .from -}}
{{- range $name := .names -}}
{{- if hasKey $from $name -}}{{- $_ := set $to $name (get $from $name) -}}{{- end -}}
{{- end -}}
{{- end -}}

{{/* The same for maps: each member of its own. */}}
{{- define "ges.merged" -}}
{{- $to := .to -}}
{{- $from := .from -}}
{{- range $name := .names -}}
{{- if hasKey $from $name -}}
{{- $_ := set $to $name (mergeOverwrite (get $to $name | default dict) (get $from $name | default dict)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "ges.walk" -}}
{{- $root := .root -}}
{{- $map := .map -}}
{{- range $key, $value := $map -}}
{{- if kindIs "string" $value -}}{{- $_ := set $map $key (include "ges.text" (dict "root" $root "text" $value)) -}}
{{- else if kindIs "map" $value -}}{{- include "ges.walk" (dict "root" $root "map" $value) -}}
{{- else if kindIs "slice" $value -}}
{{- $list := list -}}
{{- range $item := $value -}}
{{- if kindIs "string" $item -}}{{- $item = include "ges.text" (dict "root" $root "text" $item) -}}
{{- else if kindIs "map" $item -}}{{- include "ges.walk" (dict "root" $root "map" $item) -}}
{{- end -}}
{{- $list = append $list $item -}}
{{- end -}}
{{- $_ := set $map $key $list -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A text may name values that are templates themselves, three deep. */}}
{{- define "ges.text" -}}
{{- $root := .root -}}
{{- $text := .text -}}
{{- range until 3 -}}
{{- if contains "{{" $text -}}{{- $text = tpl $text $root -}}{{- end -}}
{{- end -}}
{{- $text -}}
{{- end -}}
